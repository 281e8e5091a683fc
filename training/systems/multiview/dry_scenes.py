"""Scenes without a place: generated sources at their own levels, to be heard by sensors that are drawn in training.

Scene i depends on its number only, so that more scenes begin with the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.random import Generator
from tqdm import tqdm

from hear_multiview.frontends.base import FrontEnd
from sonyc_tasks.dataset.audio import write_pcm16
from sonyc_tasks.files import replacing
from sonyc_tasks.processes import cores, die_with_parent
from sonyc_tasks.synthesis import signals as dsp
from sonyc_tasks.synthesis.signals import Wave
from sonyc_tasks.synthesis.sources import SOURCES
from training.data.extraction import extract
from training.data.records import Clip, Description, Partition
from training.data.store import LatentStore
from training.engine.run_folder import check_or_write_manifest

SAMPLE_RATE, SECONDS = 16_000, 8.0
#: dB of full scale of the loudest eighth of a second of each source.
LEVELS = (-35.0, -20.0)
MOST_SOURCES = 3
_PAUSE = 0.5  # seconds on average, before a source sounds again
_FEW = 16  # scenes


def scene(rng: Generator) -> Wave:
    """One to three kinds of source [sample], each again and again, so that there is sound nearly everywhere."""
    samples = dsp.sample_count(SECONDS, SAMPLE_RATE)
    clip = np.zeros(samples, np.float32)
    for kind in rng.choice(list(SOURCES), 1 + rng.integers(MOST_SOURCES), replace=False):
        source = SOURCES[kind]
        seconds = rng.uniform(*source.seconds)
        start = rng.uniform(-0.5 * min(seconds, SECONDS), 1.0)  # as if it had begun before
        level = rng.uniform(*LEVELS)
        while start < SECONDS:
            begin, stop = max(0.0, start), min(SECONDS, start + seconds)
            if stop - begin > 0.1:
                wave = _leveled(source.render(rng, stop - begin, SAMPLE_RATE), level)
                at = int(begin * SAMPLE_RATE)
                wave = _faded(wave[: samples - at], source.fade)
                clip[at : at + len(wave)] += wave
            start += seconds + rng.exponential(_PAUSE)
            seconds = rng.uniform(*source.seconds)
    return clip


def dry_scenes(folder: Path, count: int, seed: int) -> dict[str, Path]:
    """``count`` scenes as 16-bit WAV files in ``folder``, those that are not there already; the file of each by name.

    Raises:
        ValueError: ``folder`` holds other scenes.
    """
    check_or_write_manifest(folder / "made-of.json", {"scenes": count, "seconds": SECONDS, "seed": seed})
    files = {f"scene_{number:05d}.wav": folder / f"scene_{number:05d}.wav" for number in range(count)}
    missing = [number for number, path in enumerate(files.values()) if not path.exists()]
    with ExitStack() as stack:
        apply: Callable[..., Iterable[None]] = map
        if len(missing) > _FEW:  # starting processes takes seconds
            pool = stack.enter_context(ProcessPoolExecutor(cores(), get_context("spawn"), die_with_parent))
            apply = partial(pool.map, chunksize=_FEW)
        made = apply(partial(_write, folder, seed), missing)
        for _ in tqdm(made, desc="scenes", total=len(missing), unit="scene", disable=not missing):
            pass
    return files


def extract_scenes(files: dict[str, Path], front: FrontEnd, path: Path, data: str) -> LatentStore:
    """Frames of all scenes; the first twentieth of them validates.

    Args:
        data: the scenes in words, for the card of a checkpoint.
    """
    names = list(files)
    held_out = max(2, len(names) // 20)
    about = Description(
        clips=[Clip(name, "valid" if number < held_out else "train") for number, name in enumerate(names)],
        frontend={},
        partition=Partition(train=("train",), valid=("valid",)),
        data=data,
    )
    return extract(about, files, front, path)


def _write(folder: Path, seed: int, number: int) -> None:
    with replacing(folder / f"scene_{number:05d}.wav", durable=False) as part:  # every one can be made again
        write_pcm16(part, scene(np.random.default_rng((seed, number))), SAMPLE_RATE)


def _leveled(wave: Wave, decibels: float) -> Wave:
    """``wave`` with its loudest eighth of a second at ``decibels`` of full scale."""
    size = SAMPLE_RATE // 8
    blocks = np.pad(wave, (0, -len(wave) % size)).reshape(-1, size)
    loudest = float(np.square(blocks).mean(axis=1).max())
    return wave * np.float32(10 ** (decibels / 20) / np.sqrt(loudest + 1e-12))


def _faded(wave: Wave, seconds: float) -> Wave:
    count = min(dsp.sample_count(seconds, SAMPLE_RATE), len(wave) // 2)
    slope = np.sin(np.linspace(0, np.pi / 2, count, dtype=np.float32)) ** 2
    shape = np.ones(len(wave), np.float32)
    shape[:count], shape[len(wave) - count :] = slope, slope[::-1]
    return wave * shape
