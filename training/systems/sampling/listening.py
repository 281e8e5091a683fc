"""What the three views of an example sound like: anchor, positive, and the anchor shifted in pitch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from hear_multiview.audio import loudness
from sonyc_tasks.dataset.audio import read_mono
from sonyc_tasks.page.sound import SAMPLE_RATE, encode
from training.data.records import ORIGINAL
from training.data.renditions import maker
from training.recipes import Recipe

EXAMPLES, SECONDS = 3, 0.96


def views_to_hear(files: Sequence[Path], recipes: Sequence[Recipe]) -> list[tuple[str, str]]:
    """Views of a few clips: two cuts of 0.96 s, and the first of them in the first and last rendition of the recipes.

    The anchor is the loudest stretch of its clip, so that something is heard; training draws it. What augmentations
    add is not heard.

    Returns:
        (caption, data address) of each sound.
    """
    renditions = list(dict.fromkeys(name for recipe in recipes for name in recipe.renditions if name != ORIGINAL))
    rng = np.random.default_rng(0)
    heard = []
    for place in sorted(rng.choice(len(files), min(EXAMPLES, len(files)), replace=False).tolist()):
        clip = read_mono(files[place], SAMPLE_RATE)
        clip = clip * loudness.gains(torch.from_numpy(clip)[None], SAMPLE_RATE).numpy()[0]
        length = min(round(SECONDS * SAMPLE_RATE), len(clip))
        anchor = _loudest(clip, length)
        positive = int(rng.integers(len(clip) - length + 1))
        views = [("anchor", clip, anchor), ("positive", clip, positive)]
        for name in dict.fromkeys(renditions[:1] + renditions[-1:]):
            shifted = maker(name)(clip, SAMPLE_RATE)
            # A change of speed moves what the anchor holds; a shift in pitch leaves it where it is.
            views.append((f"anchor, {name}", shifted, round(anchor * len(shifted) / len(clip))))
        for name, audio, start in views:
            caption = f"{files[place].name}: {name}, from {start / SAMPLE_RATE:.2f} s"
            heard.append((caption, encode(audio[start : start + length])))
    return heard


def _loudest(clip: np.ndarray, length: int) -> int:
    """Where the stretch of ``length`` samples with the most energy begins."""
    energy = np.cumsum(np.concatenate([[0.0], clip.astype(np.float64) ** 2]))
    return int(np.argmax(energy[length:] - energy[:-length]))
