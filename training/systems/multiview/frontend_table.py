"""Compare front ends and models on any data set in SONYC's layout, with intervals and paired differences.

Every clip is tested once, in k folds stratified by sensor and source, with heareval's MLP. This is not the paper's
protocol, which holds out sensors from pretraining. It only measures how well a probe recognises source and sensor from
the embedding of a frozen model.
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
from sonyc_tasks.tasks.sonyc import SENSOR_TASK, SOURCE_TASK, sensor_task, source_task, wav_name, with_paper_grid
from sonyc_tasks.tasks.task_folder import write_task
from training.codec.bundle import seeded_codec
from training.probes import heareval_jobs
from training.probes.frame_probe import frame_probe, frame_statistics
from training.probes.heareval_jobs import Submission
from training.reporting.text import estimate

UNTRAINED, UNTRAINED_FILE = "untrained codec of the same size, frontend", "untrained.pth"
LOG_MEL = "log-mel, mean and deviation"

#: Column → (task, metric of bool targets and of probabilities, both [clip, class]).
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
        interval: (low, high), its 95 % bootstrap interval over clips.
        above_untrained: the score minus that of the untrained codec.
        above_untrained_interval: (low, high), its 95 % bootstrap interval, paired by clip.
    """

    value: float
    interval: tuple[float, float]
    above_untrained: float
    above_untrained_interval: tuple[float, float]


def submissions(folder: Path, codec: Path | None = None) -> dict[str, Submission]:
    """List what heareval runs. Writes the weights of the untrained codec if they are missing.

    Args:
        folder: working folder, which gets the weights of the untrained codec.
        codec: weights of the official codec; None uses its download cache, and omits its row if they are not there.

    Returns:
        Submissions by name of their row.
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
    if codec or codec_weights.CACHE.exists():
        official = str((codec or codec_weights.CACHE).resolve())
        options = {"view": "frontend", "frontend": "dac_44khz", "frontend_weights": official}
        rows["official codec, frontend"] = Submission(options=options)
    return rows


def fold_tasks(clips: Sequence[Clip], tasks_dir: Path, folds: int = 5, seed: int = 0) -> None:
    """Write the source task and the sensor task as k-fold HEAR tasks.

    Args:
        clips: clips of the data set, all of which are used.
        tasks_dir: where to write the tasks.
        folds: number of folds, stratified by sensor and source (Sechidis et al. 2011).
        seed: of the division into folds.
    """
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
    """Run the comparison, or resume it.

    Args:
        data: a data set in SONYC's layout.
        folder: working folder.
        codec: weights of the official codec, as for `submissions`.

    Returns:
        Two Markdown tables: heareval's probes on scene embeddings, and a linear probe on the mean and standard
        deviation of the frames.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clips = read_clips(data)
    fold_tasks(clips, folder / "tasks")
    rows = submissions(folder, codec)
    heareval_jobs.run_embeddings(folder, list(rows.values()))
    heareval_jobs.run_predictions(folder)
    probed = {name: _read(folder / "embeddings" / row.folder) for name, row in rows.items()}
    # The files that heareval read: their frames are in the cache.
    wavs = {path.name: path for path in (folder / "tasks").rglob("*.wav")}
    cached = [replace(clip, path=wavs[wav_name(clip)]) for clip in clips]
    linear = {}
    for name, model in models(folder, codec).items():
        model.cache = FrameCache(folder / "frames")
        linear[name] = frame_probe(frame_statistics(model, cached), cached)
    note = (
        f"{len(clips)} clips of {len({c.sensor for c in clips})} sensors, each tested once in 5 folds. In brackets: "
        "95 % bootstrap interval over clips (paired for differences)."
    )
    return "\n\n".join(
        (
            "heareval's probes (2-layer MLPs) on scene embeddings, which are means over time except for log-mel:",
            markdown(probed),
            "Logistic regression on mean and standard deviation of the frames over time:",
            markdown(linear),
            note,
        )
    )


def markdown(results: Mapping[str, Mapping[str, Predictions]]) -> str:
    """Tabulate scores and their differences from the untrained codec.

    Args:
        results: predictions by task, by name of the row; one row is `UNTRAINED`.

    Returns:
        A Markdown table.
    """
    rows = []
    for name, result in results.items():
        scores = [score_column(result, results[UNTRAINED], column) for column in COLUMNS]
        absolute = [estimate(s.value, s.interval) for s in scores]
        rows.append([name, *absolute, *(estimate(s.above_untrained, s.above_untrained_interval, "+") for s in scores)])
    header = ["", *COLUMNS, *(f"{column}, above untrained" for column in COLUMNS)]
    return markdown_table(header, rows, "l" + "r" * 2 * len(COLUMNS))


def models(folder: Path, codec: Path | None = None) -> dict[str, Embedder]:
    """Load the models of `submissions`. The row of log-mel statistics becomes the log-mel front end itself.

    Args:
        folder: working folder with the weights of the untrained codec.
        codec: weights of the official codec, as for `submissions`.

    Returns:
        Models by name of their row.
    """
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
    """Compute a score and its difference from the untrained codec's, with bootstrap intervals (Efron 1979).

    Args:
        result: predictions by task.
        untrained: predictions of the untrained codec by task, for the same clips.
        column: a key of `COLUMNS`.

    Returns:
        The score.

    Raises:
        ValueError: the two are predictions of different clips.
    """
    task, metric = COLUMNS[column]
    ours, theirs = result[task], untrained[task]
    if not np.array_equal(ours.target, theirs.target):
        raise ValueError(f"the results of {task} are of different clips; delete the folder's embeddings and run again")

    def score(predictions: Predictions, rows: np.ndarray) -> float:
        return metric(predictions.target[rows], predictions.prediction[rows])

    def difference(rows: np.ndarray) -> float:
        return score(ours, rows) - score(theirs, rows)

    everything = np.arange(len(ours))
    return Score(
        score(ours, everything),
        bootstrap(lambda rows: score(ours, rows), len(ours)),
        difference(everything),
        bootstrap(difference, len(ours)),
    )


def _read(folder: Path) -> dict[str, Predictions]:
    """Read the predictions of an embedding by task, with all folds concatenated."""
    result = {}
    for task in (SENSOR_TASK, SOURCE_TASK):
        (place,) = folder.glob(f"{task}-*")
        files = sorted(path for path in place.iterdir() if re.fullmatch(r"fold\d+\.predictions\.pkl", path.name))
        parts = [load_predictions(path) for path in files]
        result[task] = Predictions(
            np.concatenate([part.target for part in parts]), np.concatenate([part.prediction for part in parts])
        )
    return result
