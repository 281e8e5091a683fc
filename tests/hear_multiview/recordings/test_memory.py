"""Memory is that of a part of a recording, however long it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE, HOURS = 8000, 2
#: Two hours at 16 kHz in single precision, in bytes: what must not be in memory.
WHOLE = HOURS * 3600 * 16_000 * 4
#: Embeds a recording of a minute, then one of hours, and prints by how much the peak of memory has grown, in bytes. The
#: front end is the cheapest that streams; loudness is what a codec measures before.
CODE = """
import json, resource, sys
import hear_multiview
from hear_multiview.audio import loudness
from hear_multiview.embedder import Embedder
from hear_multiview.frontends import load_frontend
from hear_multiview.recordings.reading import open_recording
short, long, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
model = Embedder(load_frontend("log_mel"), None, "frontend")
def work(path):
    loudness.gains(open_recording(path, "", model.sample_rate).audio, model.sample_rate)
    return sum(len(rows.start) for rows in hear_multiview.embed(path, model, **options))
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
work(short)
before = peak()
rows = work(long)
print(rows, peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "rows"),
    [("{}", 1), ('{"frames": true}', HOURS * 3600 * 16_000 // 512), ('{"window": 10, "hop": 60}', HOURS * 60)],
)
def test_a_long_recording_takes_little_more_memory_than_a_short_one(tmp_path: Path, options: str, rows: int) -> None:
    minute = np.random.default_rng(0).normal(0, 0.05, 60 * RATE)
    for name, minutes in (("short.flac", 1), ("long.flac", 60 * HOURS)):
        with soundfile.SoundFile(tmp_path / name, "w", RATE, 1) as file:
            for _ in range(minutes):
                file.write(minute)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE, tmp_path / "short.flac", tmp_path / "long.flac", options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found, grown = map(int, done.stdout.split())
    assert found == rows
    assert grown < WHOLE / 3
