from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sonyc_tasks.processes import cores

SYNTHESIZE = """
from sonyc_tasks.synthesis import synthesize
if __name__ == "__main__":
    synthesize("out", sensors=4, clips_per_sensor=500, seconds=1.0, workers=2, progress=False)
"""
SCENES = """
from pathlib import Path
from training.systems.multiview import dry_scenes
dry_scenes.cores = lambda: 2
if __name__ == "__main__":
    dry_scenes.dry_scenes(Path("out"), 2000, 1)
"""


def parents() -> dict[int, int]:
    """The parent of every process that is running; one that has ended, and that nobody has asked for, is not."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it has ended meanwhile
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def test_cores_are_those_that_may_be_used() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills the children of a killed process")
@pytest.mark.parametrize("code", [SYNTHESIZE, SCENES], ids=["synthesize", "scenes"])
def test_workers_end_with_the_process_that_started_them(tmp_path: Path, code: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, script], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("*.wav")):
            assert time.monotonic() < deadline
            assert parent.poll() is None
            time.sleep(0.1)
        workers = {child for child, of in parents().items() if of == parent.pid}
        assert len(workers) >= 2
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 20
    while left := workers & parents().keys():
        if time.monotonic() > deadline:
            for worker in left:
                os.kill(worker, signal.SIGKILL)
        assert time.monotonic() < deadline, f"{len(left)} processes go on without the one that started them"
        time.sleep(0.1)
