"""What separation sounds like: a mixture, and its channels from every state of the separator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from hear_multiview.audio import loudness
from sonyc_tasks.dataset.audio import read_mono
from training.reporting.page.audio import SAMPLE_RATE, encode
from training.systems.separated.renditions import audible_channels
from training.systems.separated.separator import Separator

EXAMPLES, SECONDS = 2, 4.0


def channels_to_hear(files: Sequence[Path], states: Mapping[str, Separator]) -> list[tuple[str, str]]:
    """The beginning of a few clips, and its audible channels of each of the ``states``, at the level of the clip.

    Returns:
        (caption, data address) of each sound.
    """
    rng, heard = np.random.default_rng(0), []
    for place in sorted(rng.choice(len(files), min(EXAMPLES, len(files)), replace=False).tolist()):
        clip = read_mono(files[place], SAMPLE_RATE)[: round(SECONDS * SAMPLE_RATE)]
        clip = clip * loudness.gains(torch.from_numpy(clip)[None], SAMPLE_RATE).numpy()[0]
        heard.append((f"{files[place].name}: mixture", encode(clip)))
        for name, separator in states.items():
            channels = audible_channels(separator, clip, SAMPLE_RATE)
            heard += [
                (f"{files[place].name}: {name}, channel {number} of {len(channels)}", encode(channel))
                for number, channel in enumerate(channels, start=1)
            ]
    return heard
