"""Benchmark of the start-up time, before the first embedding."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from training.bench.interleaved import environment
from training.bench.row import Row

#: Libraries that `load_model()` of the bundled checkpoint, or the first embedding, needs in any case.
DEPENDENCIES = "import torch, numba, safetensors"


def startup_rows(repeats: int = 3) -> list[Row]:
    """Measure `import hear_multiview` and `load_model()`, each compared with importing only the libraries it needs.

    Args:
        repeats: number of measurements; the median is reported.

    Returns:
        Two rows.
    """
    commands = {
        "torch": "import torch",
        "package": "import hear_multiview",
        "dependencies": DEPENDENCIES,
        "model": f"{DEPENDENCIES}; import hear_multiview; hear_multiview.load_model()",
    }
    rounds = [{name: _seconds(code) for name, code in commands.items()} for _ in range(repeats + 1)]
    took = {name: statistics.median(times[name] for times in rounds[1:]) for name in commands}  # after a warm-up
    ratio, more = took["package"] / took["torch"], took["model"] - took["dependencies"]
    return [
        Row(
            "import hear_multiview",
            "",
            f"{took['package']:.2f} s",
            None,
            f"{took['torch']:.2f} s (import torch)",
            1 / ratio,
            "at most 1.5 times the limit",
            ratio <= 1.5,
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
