"""How long a user waits before the first embedding."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from training.bench.row import Row
from training.bench.turns import environment

#: What `load_model()` of the bundled checkpoint, or the first embedding, cannot do without.
DEPENDENCIES = "import torch, numba, safetensors"


def startup_rows(repeats: int = 3) -> list[Row]:
    """Two rows: `import hear_multiview` beside `import torch`, `load_model()` beside importing what it needs."""
    commands = {
        "torch": "import torch",
        "package": "import hear_multiview",
        "dependencies": DEPENDENCIES,
        "model": f"{DEPENDENCIES}; import hear_multiview; hear_multiview.load_model()",
    }
    turns = [{name: _seconds(code) for name, code in commands.items()} for _ in range(repeats + 1)]
    took = {name: statistics.median(turn[name] for turn in turns[1:]) for name in commands}
    times, more = took["package"] / took["torch"], took["model"] - took["dependencies"]
    return [
        Row(
            "import hear_multiview",
            "",
            f"{took['package']:.2f} s",
            None,
            f"{took['torch']:.2f} s (import torch)",
            1 / times,
            "at most 1.5 times the limit",
            times <= 1.5,
        ),
        Row(
            "load_model()",
            "",
            f"{took['model']:.2f} s",
            None,
            f"{took['dependencies']:.2f} s (import torch and numba)",
            took["dependencies"] / took["model"],
            "at most 1 s more than the limit",
            more <= 1,
        ),
    ]


def _seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment(), check=True, capture_output=True)
    return time.perf_counter() - start
