"""What the results page lets hear of a clip."""

from __future__ import annotations

from pathlib import Path

import torch

from hear_multiview.audio import loudness
from sonyc_tasks.dataset.audio import read_mono
from sonyc_tasks.page.sound import SAMPLE_RATE, encode

#: Seconds of an excerpt: long enough to recognise a street.
SECONDS = 5.0


def excerpt(path: Path) -> str:
    """The first `SECONDS` of a file, encoded at the loudness at which the encoder hears it, −24 LUFS."""
    samples = torch.from_numpy(read_mono(path, SAMPLE_RATE)[: round(SECONDS * SAMPLE_RATE)])
    return encode((samples * loudness.gains(samples[None], SAMPLE_RATE)[0]).numpy())
