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
from hear_multiview.api import BUNDLED
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
from training.engine.pretrain import save_untrained
from training.probes import heareval_jobs
from training.probes.frame_probe import frame_probe, frame_statistics
from training.probes.heareval_jobs import Submission
from training.reporting.text import estimate

#: Rows. Differences are from the first: whoever needs a model can have that one without any.
LOG_MEL, PROJECTION = "log-mel, mean and deviation", "random projection of log-mel"
UNTRAINED = "untrained model of the bundled one's kind"
UNTRAINED_CODEC = "untrained codec of the bundled one's size, frontend"
UNTRAINED_FILE, UNTRAINED_CODEC_FILE = "untrained.safetensors", "untrained.pth"
#: Modules that have learned nothing, by row.
REFERENCES = {
    LOG_MEL: "hear_multiview.references.mel_statistics",
    PROJECTION: "hear_multiview.references.random_projection",
}
#: Sample rates of the rows' models.
SAMPLE_RATES = (16_000, 44_100)

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
        above_log_mel: the score minus that of log-mel statistics.
        above_log_mel_interval: (low, high), its 95 % bootstrap interval, paired by clip.
    """

    value: float
    interval: tuple[float, float]
    above_log_mel: float
    above_log_mel_interval: tuple[float, float]


def submissions(folder: Path, codec: Path | None = None) -> dict[str, Submission]:
    """List what heareval runs. Writes the weights of the untrained codec and model if they are missing.

    Args:
        folder: working folder, which gets these weights.
        codec: weights of the official codec; None uses its download cache, and omits its row if they are not there.

    Returns:
        Submissions by name of their row.
    """
    if not (folder / UNTRAINED_CODEC_FILE).exists():
        with replacing(folder / UNTRAINED_CODEC_FILE) as part:
            seeded_codec().save(str(part), package=False)
    save_untrained(BUNDLED, folder / UNTRAINED_FILE)
    of_codec = {"view": "frontend", "frontend": "demo"}
    rows = {
        **{name: Submission(module) for name, module in REFERENCES.items()},
        UNTRAINED: Submission(model=folder / UNTRAINED_FILE, label="untrained"),
        "bundled model, joint": Submission(),
        "bundled model, private": Submission(options={"view": "private"}),
        "bundled model, shared": Submission(options={"view": "shared"}),
        "bundled codec, frontend": Submission(options=of_codec),
        UNTRAINED_CODEC: Submission(options={**of_codec, "frontend_weights": UNTRAINED_CODEC_FILE}),
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
        folded = with_paper_grid(replace(task, split_mode="presplit_kfold"))
        for rate in SAMPLE_RATES:
            write_task(folded, sources, tasks_dir, sample_rate=rate)


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
    linear = {}
    for name, model in models(folder, codec).items():
        # The files that heareval read: their frames are in the cache.
        wavs = {path.name: path for path in (folder / "tasks").glob(f"*/{model.sample_rate}/**/*.wav")}
        cached = [replace(clip, path=wavs[wav_name(clip)]) for clip in clips]
        model.cache = FrameCache(folder / "frames")
        linear[name] = frame_probe(frame_statistics(model, cached), cached)
    note = (
        f"{len(clips)} clips of {len({c.sensor for c in clips})} sensors, each tested once in 5 folds. In brackets: "
        "95 % bootstrap interval over clips (paired for differences)."
    )
    return "\n\n".join(
        (
            "heareval's probes (2-layer MLPs) on scene embeddings: of log-mel and the bundled model's kind, mean and "
            "deviation over time, of all others the mean:",
            markdown(probed),
            "Logistic regression on mean and standard deviation of the frames over time:",
            markdown(linear),
            note,
        )
    )


def markdown(results: Mapping[str, Mapping[str, Predictions]]) -> str:
    """Tabulate scores and their differences from log-mel statistics.

    Args:
        results: predictions by task, by name of the row; one row is `LOG_MEL`.

    Returns:
        A Markdown table.
    """
    rows = []
    for name, result in results.items():
        scores = [score_column(result, results[LOG_MEL], column) for column in COLUMNS]
        absolute = [estimate(s.value, s.interval) for s in scores]
        rows.append([name, *absolute, *(estimate(s.above_log_mel, s.above_log_mel_interval, "+") for s in scores)])
    header = ["", *COLUMNS, *(f"{column}, above log-mel" for column in COLUMNS)]
    return markdown_table(header, rows, "l" + "r" * 2 * len(COLUMNS))


def models(folder: Path, codec: Path | None = None) -> dict[str, Embedder]:
    """Load the models of `submissions`. A module that is not ours becomes a front end, embedded frame by frame.

    Args:
        folder: working folder with the weights of the untrained codec and model.
        codec: weights of the official codec, as for `submissions`.

    Returns:
        Models by name of their row.
    """
    rows = {}
    for name, row in submissions(folder, codec).items():
        options = dict(row.options)
        if row.module != Submission.module:
            options = {"view": "frontend", "frontend": f"hear:{row.module}"}
        if weights := options.get("frontend_weights"):
            options["frontend_weights"] = str(folder / weights)
        rows[name] = load_model(row.model, **options)
    return rows


def score_column(result: Mapping[str, Predictions], log_mel: Mapping[str, Predictions], column: str) -> Score:
    """Compute a score and its difference from that of log-mel statistics, with bootstrap intervals (Efron 1979).

    Args:
        result: predictions by task.
        log_mel: predictions of log-mel statistics by task, for the same clips.
        column: a key of `COLUMNS`.

    Returns:
        The score.

    Raises:
        ValueError: the two are predictions of different clips.
    """
    task, metric = COLUMNS[column]
    ours, theirs = result[task], log_mel[task]
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
