"""Generate data sets like SONYC-UST-V2, with invented streets, sensors and annotators.

Three factors, each with its own random streams, meet only in the recording:

* the *sources* of a clip (`scenes`, `sources`): what sounds, when, how loud;
* the *sensor* (`sensors`): the place and device that records all its clips;
* the *annotators* (`annotators`): who hears what.

The sources of a clip are drawn independently of the sensor, so that no class is tied to a sensor except by chance. Each
stream is identified by the seed, its factor and the numbers of sensor and clip, so a clip does not depend on how many
others are made, or on the number of processes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from numpy.random import Generator, SeedSequence, default_rng
from tqdm import tqdm

from sonyc_tasks.dataset.audio import write_wav
from sonyc_tasks.dataset.taxonomy import CLIP_SECONDS, COLUMNS, SAMPLE_RATE
from sonyc_tasks.files import is_empty, replace_folder, sweep
from sonyc_tasks.locks import held
from sonyc_tasks.processes import cores, die_with_parent
from sonyc_tasks.synthesis.annotators import VOLUNTEERS, Context, Listener, annotate, clip_time, make_volunteer
from sonyc_tasks.synthesis.scenes import Event, draw_scene, record
from sonyc_tasks.synthesis.sensors import Sensor, make_sensor, padded_length
from sonyc_tasks.synthesis.signals import sample_count
from sonyc_tasks.tasks.temporary_folder import build_dir

__all__ = ["synthesize"]

TRUTH_COLUMNS = ("clip", "sensor", "coarse", "fine", "onset_s", "duration_s", "snr_db")

#: The factors. The position is part of a stream's key, so append, never reorder.
_FACTORS = ("sensor", "source", "recording", "annotation", "volunteer")

#: Limits of the file names: two digits for the sensor, and four of the other six for its clips.
MAX_SENSORS, MAX_CLIPS = 99, 10_000

#: Clips per batch: enough to make drawing a sensor worthwhile, few enough to divide a small set among processes.
_BATCH = 16


def stream(seed: int, factor: str, *numbers: int) -> Generator:
    """Return the random stream of one factor of a sensor, clip or person; all streams are independent."""
    return default_rng(SeedSequence(seed, spawn_key=(_FACTORS.index(factor), *numbers)))


def clip_name(sensor: int, clip: int) -> str:
    """Return the file name of a sensor's clip; its six digits are unique in the data set, as in the real one.

    >>> clip_name(7, 12)
    '07_001207.wav'
    """
    return f"{sensor:02d}_{clip * 100 + sensor:06d}.wav"


def scene_of(seed: int, sensor: int, clip: int, seconds: float) -> list[Event]:
    """Draw what sounds in a clip. The numbers only select the stream; nothing depends on the sensor itself."""
    return draw_scene(stream(seed, "source", sensor, clip), seconds)


@dataclass(frozen=True)
class _Batch:
    """Clips ``start`` to ``stop`` of one sensor, a process's unit of work."""

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
    """Write a synthetic data set in the layout of SONYC-UST-V2, and return its folder.

    ``annotations.csv`` has the real file's 78 columns, one row per clip and annotator; ``audio/SS_NNNNNN.wav`` are mono
    16-bit clips at 48 kHz; ``truth.csv`` lists what is really in each clip, one row per event (``snr_db`` is the
    loudest eighth of a second over the background, both A-weighted); ``README.txt`` says that everything is synthetic.
    With the same libraries, the same seed and options give the same bytes.

    Args:
        out: A folder that is empty or does not exist. It appears complete or not at all.
        sensors: Number of sensors, 1 to 99.
        clips_per_sensor: Number of clips of each sensor, 1 to 10,000.
        seconds: Length of each clip.
        seed: Seed of all random streams, 0 or more.
        workers: Number of processes; by default one per processor.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: An option is out of range, or ``out`` is in use.
    """
    out = Path(out)
    with held(out.absolute().parent / f".{out.absolute().name}.lock", out):
        sweep(out.absolute().parent)
        _check(out, sensors, clips_per_sensor, seconds, seed, workers)
        _write(out, sensors, clips_per_sensor, seconds, seed, workers, progress)
    return out


def _write(
    out: Path, sensors: int, clips_per_sensor: int, seconds: float, seed: int, workers: int | None, progress: bool
) -> None:
    """`synthesize`, by the only command that writes ``out``."""
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


def _check(out: Path, sensors: int, clips: int, seconds: float, seed: int, workers: int | None) -> None:
    for name, value, fits, way in (
        ("sensors", sensors, 1 <= sensors <= MAX_SENSORS, f"a number from 1 to {MAX_SENSORS}"),
        ("clips_per_sensor", clips, 1 <= clips <= MAX_CLIPS, f"a number from 1 to {MAX_CLIPS}"),
        ("seconds", seconds, 0 < seconds < float("inf"), "a positive number"),
        ("seed", seed, seed >= 0, "0 or more"),
        ("workers", workers, workers is None or workers >= 1, "1 or more"),
    ):
        if not fits:
            raise ValueError(f"{name} is {value}; give {way}")
    if not is_empty(out):
        raise ValueError(f"{out} already exists and is not an empty folder; remove it or give another one")


@contextmanager
def _appear(out: Path) -> Iterator[Path]:
    """Yield a new folder next to ``out`` that replaces it if the block ends without an error, and else vanishes."""
    with build_dir(out) as work:
        folder = work / "new"
        folder.mkdir()
        yield folder
        replace_folder(folder, out)


_Rows = tuple[list[Sequence[object]], list[Sequence[object]]]


def _render_all(batches: list[_Batch], workers: int | None) -> Iterator[_Rows]:
    """Write the audio of all batches, and yield their rows in order."""
    workers = min(workers or cores(), len(batches))
    if workers == 1:
        yield from map(_render, batches)
        return
    # Spawned, not forked: a fork of a process that runs threads (PyTorch, BLAS) can hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), die_with_parent) as pool:
        yield from pool.map(_render, batches)


@lru_cache(maxsize=2)
def _sensor(seed: int, number: int, period: int) -> Sensor:
    return make_sensor(stream(seed, "sensor", number), number, period, SAMPLE_RATE)


@lru_cache(maxsize=2)
def _volunteers(seed: int) -> list[Listener]:
    return [make_volunteer(stream(seed, "volunteer", number), number) for number in range(1, VOLUNTEERS + 1)]


def _render(batch: _Batch) -> _Rows:
    """Write the clips of a batch; return their rows of ``annotations.csv`` and of ``truth.csv``."""
    period = padded_length(sample_count(batch.seconds, SAMPLE_RATE), SAMPLE_RATE)
    sensor = _sensor(batch.seed, batch.sensor, period)
    annotations: list[Sequence[object]] = []
    truth: list[Sequence[object]] = []
    for clip in range(batch.start, batch.stop):
        name, key = clip_name(sensor.number, clip), (sensor.number, clip)
        events = scene_of(batch.seed, *key, batch.seconds)
        wave = record(events, sensor, stream(batch.seed, "recording", *key), batch.seconds, SAMPLE_RATE)
        write_wav(batch.audio / name, wave, SAMPLE_RATE)
        for event in events:
            times = f"{event.onset:.3f}", f"{event.duration:.3f}"
            truth.append((name, sensor.number, event.coarse, event.fine, *times, f"{event.snr:.2f}"))
        rng = stream(batch.seed, "annotation", *key)
        # As in the real set: every third clip is for testing and has ground truth; of the others, whole sensors are
        # for validation.
        test = (sensor.number + clip) % 3 == 0
        split = "test" if test else "validate" if sensor.number % 5 == 4 else "train"
        context: Context = {"split": split, "sensor_id": sensor.number, "audio_filename": name}
        context |= asdict(sensor.site) | clip_time(rng)
        annotations += annotate(rng, context, events, _volunteers(batch.seed), agreed=test)
    return annotations, truth
