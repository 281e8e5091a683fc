#!/usr/bin/env bash
# torchaudio: the patch release 2.11.1 installs beside torch 2.11.0, and cannot be imported there.
#
# Versions: torchaudio 2.11.1, torch 2.11.0.
#
# Release 2.11.0 named no version of torch at all; 2.11.1 asks for torch>=2.11, which torch 2.11.0 satisfies, so pip
# installs the two together and `pip check` is content. The compiled library needs a symbol that torch 2.11.0 does not
# have, and `import torchaudio` raises an OSError. There was no torch 2.11.1 in the index.
#
# Why it matters: a project that says torch>=2.11,<2.12 and torchaudio>=2.11,<2.12 worked until the patch release came
# out, and since then every new installation is broken, with everything that imports torchaudio: descript-audio-codec,
# xares, speech toolkits. Older releases of torchaudio named one exact torch. Pin both: torch==2.11.0 torchaudio==2.11.0.
#
# Seen on 2026-11-28:
#   torch 2.11.0, torchaudio 2.11.1 asks for torch>=2.11
#   pip check: No broken requirements found.
#   import torchaudio: OSError, undefined symbol
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  torch==2.11.0 torchaudio==2.11.1 numpy==2.4.6
cd "$work"
echo "pip check: $(venv/bin/python -m pip --disable-pip-version-check check)"
venv/bin/python - <<'PY'
from importlib.metadata import requires, version

print(f"torch {version('torch')}, torchaudio {version('torchaudio')} asks for {', '.join(requires('torchaudio'))}")
import torch  # noqa: F401, alone it can be imported

try:
    import torchaudio  # noqa: F401
except OSError as error:
    cause = error.__cause__ or error.__context__ or error
    print("import torchaudio: OSError,", "undefined symbol" if "undefined symbol" in f"{error}{cause}" else error)
    assert "undefined symbol" in f"{error}{cause}"
else:
    raise SystemExit("torchaudio can be imported")
PY
