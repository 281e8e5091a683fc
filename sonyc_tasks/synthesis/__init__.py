"""A generator of data sets like SONYC-UST-V2: streets, sensors and annotators that do not exist.

Three factors, each from random streams of its own, meet only in the recording:

* the *sources* of a clip (``scenes``, ``sources``): what sounds, when, how loud;
* the *sensor* (``sensors``): the place and device that records all its clips;
* the *annotators* (``annotators``): who hears what of it.

The sources of a clip are drawn without looking at the sensor, so that no class goes with a sensor beyond chance. Each
stream is named by the seed, its factor and the numbers of the sensor and clip, so a clip is the same however many
others are made, and by however many processes.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import soundfile
from numpy.random import Generator, SeedSequence, default_rng
from tqdm import tqdm

from ..dataset.taxonomy import CLIP_SECONDS, COLUMNS, SAMPLE_RATE
from ..tasks.build_folder import build_dir
from .annotators import VOLUNTEERS, Context, Listener, annotate, clip_time, make_volunteer
from .scenes import Event, draw_scene, record
from .sensors import Sensor, make_sensor, padded_length
from .signals import sample_count

__all__ = ["synthesize"]

TRUTH_COLUMNS = ("clip", "sensor", "coarse", "fine", "onset_s", "duration_s", "snr_db")

#: The factors; the place in this tuple is the first number of a stream's name, so append, never reorder.
_FACTORS = ("sensor", "source", "recording", "annotation", "volunteer")

#: What a file name has room for: two digits for the sensor, and four of the other six for its clips.
MAX_SENSORS, MAX_CLIPS = 99, 10_000

#: Clips of a unit of work: enough to make a sensor worth its while, few enough to share a small set among processes.
_BATCH = 16


def stream(seed: int, factor: str, *numbers: int) -> Generator:
    """The random stream of one factor of a sensor, clip or person. Streams of differing names are independent."""
    return default_rng(SeedSequence(seed, spawn_key=(_FACTORS.index(factor), *numbers)))


def clip_name(sensor: int, clip: int) -> str:
    """File name of clip number ``clip`` of a sensor; the six digits are unique in the data set, as in the real one.

    >>> clip_name(7, 12)
    '07_001207.wav'
    """
    return f"{sensor:02d}_{clip * 100 + sensor:06d}.wav"


def scene_of(seed: int, sensor: int, clip: int, seconds: float) -> list[Event]:
    """What sounds in a clip. The numbers name the stream; no property of the sensor is known here."""
    return draw_scene(stream(seed, "source", sensor, clip), seconds)


@dataclass(frozen=True)
class _Batch:
    """Clips ``start`` to ``stop`` of one sensor: the unit of work of a process."""

    seed: int
    sensor: int
    start: int
    stop: int
    seconds: float
    audio: Path


def synthesize(
    out: Path,
    *,
    sensors: int = 20,
    clips_per_sensor: int = 24,
    seconds: float = CLIP_SECONDS,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write a generated data set in the layout of SONYC-UST-V2 and return its folder.

    ``out/annotations.csv`` has the real file's 78 columns, one row per clip and annotator; ``out/audio/SS_NNNNNN.wav``
    are mono 16-bit clips at 48 kHz; ``out/truth.csv`` says what was really put into each clip, one row per event
    (``snr_db`` is the loudest eighth of a second over the background, both A-weighted); ``out/README.txt`` says that
    all of it is generated. With the same libraries, the same seed and options give the same bytes.

    Args:
        out: a folder that does not exist yet or is empty. It appears complete or not at all.
        sensors: number of sensors, 1 to 99.
        clips_per_sensor: number of clips of each, 1 to 10,000.
        seconds: length of each clip.
        seed: names all random streams, 0 or more.
        workers: processes, by default one per processor.
        progress: show a bar.

    Raises:
        ValueError: an option is out of its range, or ``out`` is in use.
    """
    out = Path(out)
    _check(out, sensors, clips_per_sensor, seconds, seed, workers)
    options = f"sensors={sensors} clips_per_sensor={clips_per_sensor} seconds={seconds:g} seed={seed}"
    with _appear(out) as folder:
        (folder / "audio").mkdir()
        batches = [
            _Batch(seed, sensor, start, min(start + _BATCH, clips_per_sensor), seconds, folder / "audio")
            for sensor in range(sensors)
            for start in range(0, clips_per_sensor, _BATCH)
        ]
        bar = tqdm(total=sensors * clips_per_sensor, desc="synthesize clips", unit="clip", disable=not progress)
        with (
            bar,
            (folder / "annotations.csv").open("w", newline="") as annotations,
            (folder / "truth.csv").open("w", newline="") as truth,
        ):
            tables = csv.writer(annotations, lineterminator="\n"), csv.writer(truth, lineterminator="\n")
            tables[0].writerow(COLUMNS)
            tables[1].writerow(TRUTH_COLUMNS)
            for batch, rows in zip(batches, _render_all(batches, workers), strict=True):
                for table, part in zip(tables, rows, strict=True):
                    table.writerows(part)
                bar.update(batch.stop - batch.start)
        note = f"Everything in this folder is generated, nothing was recorded: sonyc_tasks synthesize, {options}.\n"
        (folder / "README.txt").write_text(note)
    return out


def _check(out: Path, sensors: int, clips: int, seconds: float, seed: int, workers: int | None) -> None:
    if not 1 <= sensors <= MAX_SENSORS:
        raise ValueError(f"sensors must be from 1 to {MAX_SENSORS}, not {sensors}.")
    if not 1 <= clips <= MAX_CLIPS:
        raise ValueError(f"clips_per_sensor must be from 1 to {MAX_CLIPS}, not {clips}.")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"seconds must be a positive number, not {seconds}.")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}.")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be 1 or more, not {workers}.")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"{out} already exists and is not an empty folder: remove it or name another one.")


@contextmanager
def _appear(out: Path) -> Iterator[Path]:
    """A new folder beside ``out`` that takes its place when the block ends well, and vanishes when it does not."""
    with build_dir(out) as work:
        folder = work / "new"
        folder.mkdir()
        yield folder
        if out.exists():
            out.rmdir()
        folder.rename(out)


_Rows = tuple[list[Sequence[object]], list[Sequence[object]]]


def _render_all(batches: list[_Batch], workers: int | None) -> Iterator[_Rows]:
    """The rows of all batches in order, whose audio is then written."""
    workers = min(workers or os.cpu_count() or 1, len(batches))
    if workers == 1:
        yield from map(_render, batches)
        return
    # Spawned, not forked: a fork of a process that runs threads (PyTorch, BLAS) can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_render, batches)


@lru_cache(maxsize=2)
def _sensor(seed: int, number: int, period: int) -> Sensor:
    return make_sensor(stream(seed, "sensor", number), number, period, SAMPLE_RATE)


@lru_cache(maxsize=2)
def _volunteers(seed: int) -> list[Listener]:
    return [make_volunteer(stream(seed, "volunteer", number), number) for number in range(1, VOLUNTEERS + 1)]


def _render(batch: _Batch) -> _Rows:
    """Write the clips of a batch; returns their rows of ``annotations.csv`` and of ``truth.csv``."""
    period = padded_length(sample_count(batch.seconds, SAMPLE_RATE), SAMPLE_RATE)
    sensor = _sensor(batch.seed, batch.sensor, period)
    annotations: list[Sequence[object]] = []
    truth: list[Sequence[object]] = []
    for clip in range(batch.start, batch.stop):
        name, key = clip_name(sensor.number, clip), (sensor.number, clip)
        events = scene_of(batch.seed, *key, batch.seconds)
        wave = record(events, sensor, stream(batch.seed, "recording", *key), batch.seconds, SAMPLE_RATE)
        soundfile.write(batch.audio / name, wave, SAMPLE_RATE, subtype="PCM_16")
        for event in events:
            times = f"{event.onset:.3f}", f"{event.duration:.3f}"
            truth.append((name, sensor.number, event.coarse, event.fine, *times, f"{event.snr:.2f}"))
        rng = stream(batch.seed, "annotation", *key)
        # As in the real set: every third clip is kept for testing and has ground truth, and of the others whole
        # sensors are kept for validation.
        test = (sensor.number + clip) % 3 == 0
        split = "test" if test else "validate" if sensor.number % 5 == 4 else "train"
        context: Context = {"split": split, "sensor_id": sensor.number, "audio_filename": name}
        context |= asdict(sensor.site) | clip_time(rng)
        annotations += annotate(rng, context, events, _volunteers(batch.seed), agreed=test)
    return annotations, truth
