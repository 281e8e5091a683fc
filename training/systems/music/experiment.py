"""``make music``: the music system end to end, from generated sounds to tables, figures and a page.

Sounds → latent store → main recipe and ablation with several seeds → heareval's probes on the main recipe, an MLP on
frozen latents and mutual information on all runs → page. If interrupted, the same command resumes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hear_multiview.embedder import Embedder
from hear_multiview.encoders.base import embed
from hear_multiview.frontends import load_frontend
from sonyc_tasks.dataset.audio import read_mono
from sonyc_tasks.files import file_digest, write_atomic
from sonyc_tasks.tasks.sonyc import with_paper_grid
from sonyc_tasks.tasks.task_folder import Task, write_task
from training.checks import size_and_seeds
from training.data.extraction import extract
from training.data.records import Description, Partition
from training.data.store import LatentStore
from training.engine.pool import run_jobs
from training.engine.pretrain import run_folder
from training.probes import heareval_jobs
from training.probes.heareval_jobs import Submission
from training.systems.music import measures, sounds
from training.systems.music.methods import MultiViewVAE
from training.systems.music.recipes import ABLATION, MUSIC
from training.systems.music.report import write_report
from training.systems.music.sounds import Sound
from training.systems.music.traversals import load_vae

log = logging.getLogger(__name__)

#: Seeds of the training sounds and of the probe sounds.
SEED, PROBE_SEED = 4101, 4102
#: The probes' split of each of five successive rounds of the 84 combinations.
ROUNDS = ("train", "train", "train", "valid", "test")
#: The factors of a sound; each is a HEAR task.
FACTORS = ("timbre", "frequency")
SUBSPACES = ("private", "shared", "joint")


@dataclass(frozen=True)
class Scale:
    """The size of an experiment.

    Attributes:
        sounds: sounds to train and validate on.
        probe_sounds: other sounds, for the probes.
        seeds: default number of replications.
        epochs: epochs of pretraining.
        batch_size: pairs per training step.
    """

    sounds: int
    probe_sounds: int
    seeds: int
    epochs: int
    batch_size: int


SCALES = {
    "full": Scale(32_000, 40 * 84, 5, MUSIC.epochs, MUSIC.batch_size),
    "small": Scale(24 * 84, 10 * 84, 1, 50, 128),
}


def music(folder: Path, scale: str = "small", *, seeds: int | None = None, workers: int = 1) -> Path:
    """Run the whole experiment, or resume it.

    Args:
        folder: parent of the working folder, which is named after the scale.
        scale: a key of `SCALES`; ``full`` has the paper's number of sounds.
        seeds: number of replications, each with its own pairs, weights and probes; None means the scale's default.
        workers: number of training processes.

    Returns:
        Path of the HTML page with the results.

    Raises:
        ValueError: the scale is unknown, or ``seeds`` is below 1.
    """
    size, count = size_and_seeds(SCALES, scale, seeds)
    folder = folder / scale
    ablation = {
        term: tuple(replace(recipe, epochs=size.epochs, batch_size=size.batch_size) for recipe in rows)
        for term, rows in ABLATION.items()
    }
    recipes = list({recipe.name: recipe for rows in ablation.values() for recipe in rows}.values())
    main = next(recipe for recipe in recipes if recipe.name == MUSIC.name)

    log.info("\n[1/6] sounds")
    clips = sounds.generate(folder / "sounds", size.sounds, SEED)
    probes = sounds.generate(folder / "probe-sounds", size.probe_sounds, PROBE_SEED)
    log.info("  %d for training and validation, %d others for the probes", len(clips), len(probes))

    log.info("\n[2/6] log-mel frames of every sound")
    store = extract_sounds(clips, folder / "latents")

    log.info("\n[3/6] pretraining: %d recipes, %d seed%s", len(recipes), count, "s" * (count > 1))
    jobs = [(recipe, seed) for seed in range(count) for recipe in recipes]
    run_jobs(jobs, store.path, folder / "runs", workers=workers)

    log.info("\n[4/6] two HEAR tasks, and unmodified hear-eval-kit on the main recipe")
    files = {sound.clip.name: sound.path for sound in probes}
    for task in tasks(probes):
        write_task(task, files, folder / "tasks", sample_rate=sounds.SAMPLE_RATE)
    runs = [run_folder(folder / "runs", main, seed) for seed in range(count)]
    submissions = {
        (seed, view): Submission(model=run / "checkpoint.safetensors", options={"view": view}, label=run.name)
        for seed, run in enumerate(runs)
        for view in SUBSPACES
    }
    heareval_jobs.run_embeddings(folder, list(submissions.values()))
    heareval_jobs.run_predictions(folder)

    log.info("\n[5/6] an MLP on frozen latents and mutual information, for every run")
    frames = probe_frames(probes)
    found = {
        (recipe.name, seed): measure_run(run_folder(folder / "runs", recipe, seed), frames, probes, seed)
        for recipe, seed in tqdm(jobs, desc="measuring", unit="run")
    }
    official = {
        (seed, view): {factor: _top1(folder / "embeddings" / given.folder, factor) for factor in FACTORS}
        for (seed, view), given in submissions.items()
    }

    log.info("\n[6/6] tables, figures, page")
    about = _about(size, count, scale)
    page, summary = write_report(folder, about, ablation, found, official, runs[0] / "checkpoint.safetensors", frames)
    log.info("%s", "\n".join((summary, "", *about, "", f"Page: {page}")))
    return page


def extract_sounds(clips: Sequence[Sound], path: Path) -> LatentStore:
    """Compute the log-mel frames of all sounds into a latent store, or finish an interrupted computation.

    Args:
        clips: the sounds. All waveforms are in the training set; a tenth of the sounds of each is held out.
        path: folder of the store.

    Returns:
        The store.
    """
    about = Description(
        clips=[sound.clip for sound in clips],
        frontend={},
        partition=Partition(train=sounds.TIMBRES),
        labels={"frequency": sounds.FREQUENCY_CLASSES},
        data=f"generated: {len(clips)} sounds of {len(sounds.TIMBRES)} waveforms, seed {SEED}",
    )
    return extract(about, {sound.clip.name: sound.path for sound in clips}, load_frontend("log_mel"), path)


def tasks(probes: Sequence[Sound]) -> list[Task]:
    """Make one multiclass HEAR task per factor.

    Splits consist of whole rounds of the combinations, so every combination is equally frequent in each split.

    Args:
        probes: sounds from `sounds.generate`, in order.

    Returns:
        The timbre task and the frequency task.
    """
    combinations = len(sounds.TIMBRES) * len(sounds.FREQUENCIES)
    members: dict[str, list[Sound]] = {"train": [], "valid": [], "test": []}
    for index, sound in enumerate(probes):
        members[ROUNDS[index // combinations % len(ROUNDS)]].append(sound)
    return [
        with_paper_grid(
            Task(
                name=f"music_{factor}",
                vocabulary=vocabulary,
                splits={
                    split: {sound.clip.name: [label_of(sound, factor)] for sound in own}
                    for split, own in members.items()
                },
                prediction_type="multiclass",
                evaluation=("top1_acc",),
                sample_duration=sounds.SECONDS,
            )
        )
        for factor, vocabulary in zip(FACTORS, (sounds.TIMBRES, sounds.FREQUENCY_CLASSES), strict=True)
    ]


def label_of(sound: Sound, factor: str) -> str:
    """Return the class of a sound in the task of ``factor``, "timbre" or "frequency"."""
    return str(sound.clip.group) if factor == "timbre" else sound.clip.labels["frequency"][0]


def probe_frames(probes: Sequence[Sound]) -> Tensor:
    """Compute the log-mel frames over which an embedding is averaged.

    Args:
        probes: sounds of equal length.

    Returns:
        float32 [clip, frame, band].
    """
    model = Embedder(load_frontend("log_mel"), None, "frontend")
    rows = []
    for clip in tqdm(probes, desc="frames of the probes", unit="clip", leave=False):
        audio = torch.from_numpy(read_mono(clip.path, model.sample_rate))[None]
        rows.append(model.frames(audio)[0][0])
    return torch.stack(rows)


def measure_run(run: Path, frames: Tensor, probes: Sequence[Sound], seed: int) -> dict[str, Any]:
    """Compute all of `music.measures` for one run, or read them from the run's folder.

    The results are cached in ``measures.json``, and recomputed if the checkpoint, the probes or the seed changed.

    Mutual information is that of draws from the posterior given the middle frame of a sound. Posterior means would be
    misleading: they can differ by far less than the posteriors' width, and an estimator that ignores scale, or a probe
    trained for long enough, would find information that the latents do not carry.

    Args:
        run: folder of the run.
        frames: frames of the probe sounds, [clip, frame, band].
        probes: the probe sounds, in the order of ``frames``.
        seed: of the draws and the MLPs.

    Returns:
        ``accuracy``: subspace → factor → accuracy of an MLP on scene embeddings. ``accuracy_of_draws``: likewise, on
        draws. ``information``: factor → nats by dimension of z_p ⊕ z_s. ``information_of``: subspace → factor → nats.
        ``gap``: factor → mutual information gap (MIG).
    """
    cached = run / "measures.json"
    made_of = {
        "checkpoint": file_digest(run / "checkpoint.safetensors"),
        "probes": hashlib.sha256(frames.numpy().tobytes()).hexdigest(),
        "seed": seed,
    }
    found = _read_cached(cached, made_of)
    if found is None:
        vae = load_vae(run / "checkpoint.safetensors")
        with torch.no_grad():
            embeddings = {view: embed(vae.encoder, frames, view).mean(1).numpy() for view in SUBSPACES}
        drawn = draws(vae, frames, seed)
        labels = {factor: np.array([label_of(sound, factor) for sound in probes]) for factor in FACTORS}
        test_clips = tasks(probes)[0].splits["test"]
        test = np.array([sound.clip.name in test_clips for sound in probes])
        found = {"accuracy": {}, "accuracy_of_draws": {}, "information_of": {}}
        for view in SUBSPACES:
            for name, z in (("accuracy", embeddings[view]), ("accuracy_of_draws", drawn[view])):
                found[name][view] = {
                    factor: measures.mlp_accuracy((z[~test], y[~test]), (z[test], y[test]), seed)
                    for factor, y in labels.items()
                }
            found["information_of"][view] = {
                factor: measures.mutual_information_ross(drawn[view], y) for factor, y in labels.items()
            }
        nats = {factor: measures.by_dimension(drawn["joint"], y) for factor, y in labels.items()}
        found["gap"] = {factor: measures.mutual_information_gap(nats[factor], y) for factor, y in labels.items()}
        found["information"] = {factor: values.tolist() for factor, values in nats.items()}
        write_atomic(cached, json.dumps({"made_of": made_of, **found}))
    return found


def _read_cached(path: Path, made_of: dict[str, Any]) -> dict[str, Any] | None:
    """Return the cached measures, or None if they are missing, damaged or made of something else."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return found if found.pop("made_of", None) == made_of else None
    except (FileNotFoundError, ValueError, AttributeError):
        return None


def draws(vae: MultiViewVAE, frames: Tensor, seed: int) -> dict[str, np.ndarray]:
    """Draw once from each clip's posterior given its middle frame.

    Args:
        vae: the model.
        frames: [clip, frame, band].
        seed: of the draws; torch's global random state is left alone.

    Returns:
        float32 [clip, dim], by subspace: "private", "shared", "joint".
    """
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        middle = frames.shape[1] // 2
        private, shared = (q.sample.numpy() for q in vae.posteriors(frames[:, middle : middle + 1]))
    return {"private": private, "shared": shared, "joint": np.concatenate([private, shared], axis=1)}


def _top1(embedding: Path, factor: str) -> float:
    """Read heareval's accuracy of one embedding on the task of a factor."""
    (scores,) = embedding.glob(f"music_{factor}-*/test.predicted-scores.json")
    return float(json.loads(scores.read_text())["test"]["test_top1_acc"])


def _about(size: Scale, seeds: int, scale: str) -> list[str]:
    """Describe how the numbers were obtained, one sentence per item."""
    weights = ", ".join(f"{name.replace('_', ' ')} {weight:g}" for name, weight in MUSIC.objectives.items())
    return [
        "All sounds are generated. The paper (arXiv 2411.02711) used other sounds, splits and probes.",
        f"Scale {scale}: {size.sounds} sounds for training and validation, and {size.probe_sounds} others for the "
        f"probes, a fifth of them as their test set; {size.epochs} epochs; {seeds} seed{'s' * (seeds > 1)}.",
        f"Weights of the main recipe: {weights}.",
        "heareval's probes are 2-layer MLPs of width 1024. The MLP, on the same embeddings, has one hidden layer "
        f"of {measures.WIDTH} units, trained for {measures.EPOCHS} epochs. ± is a 95 % t-interval over seeds.",
        "A draw is a sample from the posterior given one frame of a sound. Mutual information is computed on draws.",
    ]
