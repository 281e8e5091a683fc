#!/usr/bin/env bash
# dcase-util, descript-audio-codec and iterative-stratification each install a package called `tests`, in one folder.
#
# Versions: dcase-util 0.2.20, descript-audio-codec 1.0.0, iterative-stratification 0.1.9.
#
# All three leave their own tests in site-packages/tests. Installed together, they share that folder, and the
# __init__.py of whichever came last is the one that counts. pip does not say so.
#
# Why it matters: an evaluation of audio models needs the three side by side (heareval uses dcase-util). A project with a
# folder `tests` and no __init__.py in it is a namespace package, and any regular package of that name on the path wins:
# `import tests.helpers` or `python -m tests.something` then finds theirs and fails with "No module named". An
# __init__.py in one's own folder mends it, as long as that folder comes first on the path.
#
# Seen on 2026-11-28:
#   dcase-util 0.2.20: 50 files in tests/
#   descript-audio-codec 1.0.0: 3 files in tests/
#   iterative-stratification 0.1.9: 2 files in tests/
#   ModuleNotFoundError: No module named 'tests.mine'      (a folder `tests` without __init__.py, first on the path)
#   with __init__.py: found
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "setuptools<81" wheel
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
  dcase-util==0.2.20 descript-audio-codec==1.0.0 iterative-stratification==0.1.9
mkdir -p "$work/project/tests"
echo "found = True" > "$work/project/tests/mine.py"
cd "$work/project"
../venv/bin/python - <<'PY'
from importlib.metadata import files, version

for name in ("dcase-util", "descript-audio-codec", "iterative-stratification"):
    own = [path for path in files(name) if path.parts[0] == "tests" and path.suffix == ".py"]
    print(f"{name} {version(name)}: {len(own)} files in tests/")
    assert own, f"{name} no longer installs a package called tests"
PY
if ../venv/bin/python -c "import tests.mine" 2> ../error.txt; then
  echo "changed: the project's own folder is found without __init__.py"; exit 1
fi
tail -1 ../error.txt
grep -q ModuleNotFoundError ../error.txt
touch tests/__init__.py
../venv/bin/python -c "import tests.mine; print('with __init__.py: found')"
