"""Front ends and models side by side on any data set in SONYC's layout: one protocol, intervals, differences.

Every clip of the data set is a test clip once: k folds, stratified by sensor and source, each probed by heareval's own
MLP. This is not the paper's protocol, in which sensors are held out from pretraining; it measures only how much of
source and sensor a probe finds in a frozen front end's embedding of a clip.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from hear_multiview import load_model
from hear_multiview.embedder import Embedder
from hear_multiview.frame_cache import FrameCache
from hear_multiview.frontends.dac import weights as codec_weights
from sonyc_tasks.dataset.annotations import Clip, read_clips
from sonyc_tasks.dataset.audio import duration
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.dataset.taxonomy import COARSE
from sonyc_tasks.files import replacing
from sonyc_tasks.scores.metrics import accuracy, bootstrap, jaccard, mean_average_precision
from sonyc_tasks.scores.results import Predictions, load_predictions
from sonyc_tasks.scores.text_tables import markdown_table
from sonyc_tasks.tasks.hear_format import write_task
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK, sensor_task, source_task, wav_name, with_paper_grid
from training.codec.bundle import seeded_codec
from training.probes import heareval_jobs as harness
from training.probes.frame_probe import frame_probe, frame_statistics
from training.probes.heareval_jobs import Submission
from training.reporting.text import estimate

UNTRAINED, UNTRAINED_FILE = "untrained codec of the same size, frontend", "untrained.pth"
LOG_MEL = "log-mel, mean and deviation"

#: Name of a column → (task, metric of bool targets and predictions, both [clip, class]).
COLUMNS = {
    "sensor accuracy": (SENSOR_TASK, accuracy),
    "source mAP": (SOURCE_TASK, mean_average_precision),
    "source Jaccard micro": (SOURCE_TASK, lambda target, p: jaccard(target, p > 0.5, "micro")),
}


@dataclass(frozen=True)
class Score:
    """A score over all clips.

    Attributes:
        value: the score.
        interval: (low, high) of its 95 % interval, bootstrap over clips.
        above_untrained: how far it is above the untrained codec's score.
        above_untrained_interval: (low, high) of that, paired by clip.
    """

    value: float
    interval: tuple[float, float]
    above_untrained: float
    above_untrained_interval: tuple[float, float]


def submissions(folder: Path, codec: Path | None = None) -> dict[str, Submission]:
    """What heareval runs, by the row's name.

    Args:
        folder: for the weights of the untrained codec.
        codec: weights of the official codec; None looks in its own cache, and leaves it out where it is not there.
    """
    untrained = folder / UNTRAINED_FILE
    if not untrained.exists():
        with replacing(untrained) as part:
            seeded_codec().save(str(part), package=False)
    rows = {
        UNTRAINED: Submission(options={"view": "frontend", "frontend": "demo", "frontend_weights": untrained.name}),
        "bundled codec, frontend": Submission(options={"view": "frontend"}),
        "bundled codec in bf16, frontend": Submission(options={"view": "frontend", "precision": "bf16"}),
        "bundled model, joint": Submission(),
        "bundled model, codec in bf16, joint": Submission(options={"precision": "bf16"}),
        "bundled model, private": Submission(options={"view": "private"}),
        "bundled model, shared": Submission(options={"view": "shared"}),
        LOG_MEL: Submission("hear_multiview.references.mel_statistics"),
    }
    if (official := _official(codec)) is not None:
        options = {"view": "frontend", "frontend": "dac_44khz", "frontend_weights": str(official.resolve())}
        rows["official codec, frontend"] = Submission(options=options)
    return rows


def _official(codec: Path | None) -> Path | None:
    return codec or (codec_weights.CACHE if codec_weights.CACHE.exists() else None)


def fold_tasks(clips: Sequence[Clip], tasks_dir: Path, folds: int = 5, seed: int = 0) -> None:
    """Write the source and the sensor task over all ``clips`` as k-fold HEAR tasks into ``tasks_dir``."""
    sensors = sorted({clip.sensor for clip in clips})
    labels = np.zeros((len(clips), len(sensors) + len(COARSE)), int)
    for row, clip in enumerate(clips):
        labels[row, sensors.index(clip.sensor)] = 1
        for source in clip.sources:
            labels[row, len(sensors) + COARSE.index(source)] = 1
    splitter = MultilabelStratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    sets: Mapping[str, Sequence[Clip]] = {
        f"fold{k:02d}": [clips[row] for row in test]
        for k, (_, test) in enumerate(splitter.split(np.zeros(len(clips)), labels))
    }
    seconds = Counter(round(duration(clip.path), 3) for clip in clips).most_common(1)[0][0]
    split = SensorSplit((), (), tuple(sensors), "every sensor, in k folds of its clips")
    sources = {wav_name(clip): clip.path for clip in clips}
    for task in (source_task(sets, seconds, split), sensor_task(sets, seconds, split)):
        write_task(with_paper_grid(replace(task, split_mode="presplit_kfold")), sources, tasks_dir, sample_rate=44_100)


def frontend_table(data: Path, folder: Path, codec: Path | None = None) -> str:
    """Run everything.

    Args:
        data: a data set in SONYC's layout.
        folder: for all results; an interrupted call resumes there.
        codec: as for `submissions`.

    Returns:
        Two tables in Markdown: heareval's probes on scene embeddings, and a linear probe on mean and deviation of the
        frames.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clips = read_clips(data)
    fold_tasks(clips, folder / "tasks")
    rows = submissions(folder, codec)
    harness.embed(folder, list(rows.values()))
    harness.predict(folder)
    probed = {name: _read(folder / "embeddings" / row.folder) for name, row in rows.items()}
    # The very files that heareval has read, whose frames are in the cache.
    wavs = {path.name: path for path in (folder / "tasks").rglob("*.wav")}
    same = [replace(clip, path=wavs[wav_name(clip)]) for clip in clips]
    linear = {}
    for name, model in models(folder, codec).items():
        model.cache = FrameCache(folder / "frames")
        linear[name] = frame_probe(frame_statistics(model, same), same)
    note = (
        f"{len(clips)} clips of {len({c.sensor for c in clips})} sensors, each tested once in 5 folds. In brackets: "
        "95 % interval, bootstrap over clips (paired for differences)."
    )
    return "\n\n".join(
        (
            "heareval's probes, 2-layer MLPs, on scene embeddings (means over time, except for log-mel):",
            markdown(probed),
            "Logistic regression on mean and deviation of the frames over time:",
            markdown(linear),
            note,
        )
    )


def markdown(results: Mapping[str, Mapping[str, Predictions]]) -> str:
    """A table of the ``results`` by row name, with the difference from the row `UNTRAINED`."""
    rows = []
    for name, result in results.items():
        scores = [score_column(result, results[UNTRAINED], column) for column in COLUMNS]
        own = [estimate(s.value, s.interval) for s in scores]
        rows.append([name, *own, *(estimate(s.above_untrained, s.above_untrained_interval, "+") for s in scores)])
    header = ["", *COLUMNS, *(f"{column}, above untrained" for column in COLUMNS)]
    return markdown_table(header, rows, "l" + "r" * 2 * len(COLUMNS))


def models(folder: Path, codec: Path | None = None) -> dict[str, Embedder]:
    """The models of the rows of `submissions`, by name; for log-mel statistics, the spectrogram itself."""
    rows = {}
    for name, row in submissions(folder, codec).items():
        options = dict(row.options)
        if name == LOG_MEL:
            options = {"view": "frontend", "frontend": f"hear:{row.module}"}
        if weights := options.get("frontend_weights"):
            options["frontend_weights"] = str(folder / weights)
        rows[name] = load_model(**options)
    return rows


def score_column(result: Mapping[str, Predictions], untrained: Mapping[str, Predictions], column: str) -> Score:
    """The score in a column, and its difference from the untrained codec's on the same clips.

    Args:
        result: predictions by task.
        untrained: those of the untrained codec.
        column: of `COLUMNS`.

    Raises:
        ValueError: the two are predictions of different clips.
    """
    task, metric = COLUMNS[column]
    ours, theirs = result[task], untrained[task]
    if not np.array_equal(ours.target, theirs.target):
        raise ValueError(f"the results of {task} are of different clips; delete the folder's embeddings and run again")

    def of(given: Predictions, rows: np.ndarray) -> float:
        return metric(given.target[rows], given.prediction[rows])

    def difference(rows: np.ndarray) -> float:
        return of(ours, rows) - of(theirs, rows)

    everything = np.arange(len(ours))
    return Score(
        of(ours, everything),
        bootstrap(lambda rows: of(ours, rows), len(ours)),
        difference(everything),
        bootstrap(difference, len(ours)),
    )


def _read(folder: Path) -> dict[str, Predictions]:
    """Predictions of all folds together, by task."""
    result = {}
    for task in (SENSOR_TASK, SOURCE_TASK):
        (place,) = folder.glob(f"{task}-*")
        files = sorted(path for path in place.iterdir() if re.fullmatch(r"fold\d+\.predictions\.pkl", path.name))
        parts = [load_predictions(path) for path in files]
        result[task] = Predictions(
            np.concatenate([part.target for part in parts]), np.concatenate([part.prediction for part in parts])
        )
    return result
