"""``make music``: the sibling system as a whole, from sounds that it generates to tables, figures and a page.

Sounds → latent store → main recipe and ablation, several seeds → heareval's probes on the main recipe, a frozen-latent
MLP and mutual information on all → page. The same command goes on where it was stopped.
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
from hear_multiview.frontends.dac.weights import sha256
from sonyc_tasks.dataset.audio import read_mono
from sonyc_tasks.files import write_atomic
from sonyc_tasks.tasks.hear_format import Task, write_task
from sonyc_tasks.tasks.sonyc import with_paper_grid
from training.data.extraction import extract
from training.data.records import Description, Partition
from training.data.store import LatentStore
from training.engine.pool import run_jobs
from training.engine.pretrain import run_folder
from training.probes import heareval_jobs as harness
from training.probes.heareval_jobs import Submission
from training.systems.music import measures, sounds
from training.systems.music.methods import MultiViewVAE
from training.systems.music.recipes import ABLATION, MUSIC
from training.systems.music.report import write_report
from training.systems.music.sounds import Sound
from training.systems.music.traversals import load_vae

log = logging.getLogger(__name__)

#: Of the sounds that train, and of those that the probes are on.
SEED, PROBE_SEED = 4101, 4102
#: Of every five rounds of the 84 combinations, which split of the probes each is in.
ROUNDS = ("train", "train", "train", "valid", "test")
#: By task of HEAR: the classes, and which of them a clip is.
FACTORS = ("timbre", "frequency")
SUBSPACES = ("private", "shared", "joint")


@dataclass(frozen=True)
class Scale:
    """What a size of the whole is made of: sounds to train and to probe, seeds, epochs and pairs a step."""

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
    """Do all of it in ``folder / scale``; return the page.

    Args:
        scale: of `SCALES`; ``full`` has the paper's number of sounds.
        seeds: how many replications, each with its own pairs, weights and probes; None is the scale's own number.
        workers: processes that train at the same time.

    Raises:
        ValueError: an unknown scale, or fewer than one seed.
    """
    if scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}: choose {' or '.join(SCALES)}")
    size = SCALES[scale]
    count = size.seeds if seeds is None else seeds
    if count < 1:
        raise ValueError(f"{count} seeds are no replication: ask for 1 or more")
    folder = folder / scale
    ablation = {
        term: tuple(replace(recipe, epochs=size.epochs, batch_size=size.batch_size) for recipe in rows)
        for term, rows in ABLATION.items()
    }
    recipes = list({recipe.name: recipe for rows in ablation.values() for recipe in rows}.values())
    main = next(recipe for recipe in recipes if recipe.name == MUSIC.name)

    _say(1, "sounds")
    clips = sounds.generate(folder / "sounds", size.sounds, SEED)
    probes = sounds.generate(folder / "probe-sounds", size.probe_sounds, PROBE_SEED)
    log.info("  %d to train and validate, %d others for the probes", len(clips), len(probes))

    _say(2, "log-mel frames, once for each sound")
    store = extract_sounds(clips, folder / "latents")

    _say(3, f"pretraining: {len(recipes)} recipes, {count} seed{'s' * (count > 1)}")
    jobs = [(recipe, seed) for seed in range(count) for recipe in recipes]
    run_jobs(jobs, store.path, folder / "runs", workers=workers)

    _say(4, "two HEAR tasks, and hear-eval-kit, unmodified, on the main recipe")
    for task in tasks(probes):
        write_task(
            task, {sound.clip.name: sound.path for sound in probes}, folder / "tasks", sample_rate=sounds.SAMPLE_RATE
        )
    runs = [run_folder(folder / "runs", main, seed) for seed in range(count)]
    submissions = {
        (seed, view): Submission(model=run / "checkpoint.safetensors", options={"view": view}, label=run.name)
        for seed, run in enumerate(runs)
        for view in SUBSPACES
    }
    harness.embed(folder, list(submissions.values()))
    harness.predict(folder)

    _say(5, "a frozen-latent MLP and mutual information, on every run")
    frames = probe_frames(probes)
    found = {
        (recipe.name, seed): measured(run_folder(folder / "runs", recipe, seed), frames, probes, seed)
        for recipe, seed in tqdm(jobs, desc="measuring", unit="run")
    }
    official = {
        (seed, view): {factor: _top1(folder / "embeddings" / given.folder, factor) for factor in FACTORS}
        for (seed, view), given in submissions.items()
    }

    _say(6, "tables, figures, page")
    about = _about(size, count, scale)
    first = runs[0] / "checkpoint.safetensors"
    page, summary = write_report(folder, about, ablation, found, official, first, frames)
    log.info("%s", "\n".join((summary, "", *about, "", f"Page: {page}")))
    return page


def extract_sounds(clips: Sequence[Sound], path: Path) -> LatentStore:
    """Log-mel frames of ``clips`` in the store at ``path``. All waveforms train; a tenth of their sounds validate."""
    about = Description(
        clips=[sound.clip for sound in clips],
        frontend={},
        partition=Partition(train=sounds.TIMBRES),
        labels={"frequency": sounds.FREQUENCY_CLASSES},
        data=f"generated: {len(clips)} sounds of {len(sounds.TIMBRES)} waveforms, seed {SEED}",
    )
    return extract(about, {sound.clip.name: sound.path for sound in clips}, load_frontend("log_mel"), path)


def tasks(probes: Sequence[Sound]) -> list[Task]:
    """The HEAR tasks of both factors, one class a clip; which split a clip is in depends on its round of combinations,
    so that every split holds every combination equally often."""
    combinations = len(sounds.TIMBRES) * len(sounds.FREQUENCIES)
    places: dict[str, list[Sound]] = {"train": [], "valid": [], "test": []}
    for index, sound in enumerate(probes):
        places[ROUNDS[index // combinations % len(ROUNDS)]].append(sound)
    vocabularies = {
        "timbre": sounds.TIMBRES,
        "frequency": sounds.FREQUENCY_CLASSES,
    }
    written = (
        Task(
            name=f"music_{factor}",
            vocabulary=vocabularies[factor],
            splits={
                split: {sound.clip.name: [label_of(sound, factor)] for sound in own} for split, own in places.items()
            },
            prediction_type="multiclass",
            evaluation=("top1_acc",),
            sample_duration=sounds.SECONDS,
        )
        for factor in FACTORS
    )
    return [with_paper_grid(task) for task in written]


def label_of(sound: Sound, factor: str) -> str:
    """The class of ``sound`` in the task of ``factor``."""
    return str(sound.clip.group) if factor == "timbre" else sound.clip.labels["frequency"][0]


def probe_frames(probes: Sequence[Sound]) -> Tensor:
    """The frames of all ``probes`` that an embedding is the mean of, float32 [clip, frame, band]."""
    model = Embedder(load_frontend("log_mel"), None, "frontend")
    rows = []
    for clip in tqdm(probes, desc="frames of the probes", unit="clip", leave=False):
        audio = torch.from_numpy(read_mono(clip.path, model.sample_rate))[None]
        rows.append(model.frames(audio)[0][0])
    return torch.stack(rows)


def measured(run: Path, frames: Tensor, probes: Sequence[Sound], seed: int) -> dict[str, Any]:
    """Everything in `music.measures` of one run, kept in its folder with what it was made of, and read from
    there another time, if that is still the same.

    Returns:
        ``accuracy``: subspace → factor → of a frozen-latent MLP on scene embeddings; ``accuracy_of_draws``: the same on
        draws; ``information``: factor → nats by dimension of z_p ⊕ z_s; ``information_of``: subspace → factor → nats;
        ``gap``: factor → MIG. Information is that of draws, too, each from the posterior given one frame, the middle
        one: means may differ by far less than their posteriors are wide, and to an estimator that knows no scale, as to
        a patient probe, they would tell what no latent holds.
    """
    kept = run / "measures.json"
    made_of = {
        "checkpoint": sha256(run / "checkpoint.safetensors"),
        "probes": hashlib.sha256(frames.numpy().tobytes()).hexdigest(),
        "seed": seed,
    }
    found = _kept(kept, made_of)
    if found is None:
        vae = load_vae(run / "checkpoint.safetensors")
        with torch.no_grad():
            embeddings = {view: embed(vae.encoder, frames, view).mean(1).numpy() for view in SUBSPACES}
        drawn = draws(vae, frames, seed)
        labels = {factor: np.array([label_of(sound, factor) for sound in probes]) for factor in FACTORS}
        split = {name: own for task in tasks(probes)[:1] for name, own in task.splits.items()}
        test = np.array([sound.clip.name in split["test"] for sound in probes])
        found = {"accuracy": {}, "accuracy_of_draws": {}, "information_of": {}}
        for view in SUBSPACES:
            for name, z in (("accuracy", embeddings[view]), ("accuracy_of_draws", drawn[view])):
                found[name][view] = {
                    factor: measures.mlp_accuracy((z[~test], y[~test]), (z[test], y[test]), seed)
                    for factor, y in labels.items()
                }
            found["information_of"][view] = {f: measures.information(drawn[view], y) for f, y in labels.items()}
        by_dimension = {factor: measures.by_dimension(drawn["joint"], y) for factor, y in labels.items()}
        found["gap"] = {factor: measures.information_gap(by_dimension[factor], y) for factor, y in labels.items()}
        found["information"] = {factor: values.tolist() for factor, values in by_dimension.items()}
        write_atomic(kept, json.dumps({"made_of": made_of, **found}))
    return found


def _kept(path: Path, made_of: dict[str, Any]) -> dict[str, Any] | None:
    """What an earlier call wrote to ``path``, if that is whole and was made of the same; else None."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        return found if found.pop("made_of", None) == made_of else None
    except (FileNotFoundError, ValueError, AttributeError):
        return None


def draws(vae: MultiViewVAE, frames: Tensor, seed: int) -> dict[str, np.ndarray]:
    """One draw of each clip's posterior given its middle frame, by subspace, [clip, dim]; ``frames`` [clip, frame,
    band]."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        middle = frames.shape[1] // 2
        private, shared = (q.sample.numpy() for q in vae.posteriors(frames[:, middle : middle + 1]))
    return {"private": private, "shared": shared, "joint": np.concatenate([private, shared], axis=1)}


def _top1(place: Path, factor: str) -> float:
    """heareval's accuracy of one embedding on the task of one factor."""
    (scores,) = place.glob(f"music_{factor}-*/test.predicted-scores.json")
    return float(json.loads(scores.read_text())["test"]["test_top1_acc"])


def _about(size: Scale, seeds: int, scale: str) -> list[str]:
    """What the numbers stand on, a sentence each."""
    weights = ", ".join(f"{name.replace('_', ' ')} {weight:g}" for name, weight in MUSIC.objectives.items())
    return [
        "All sounds are generated; the numbers of the paper (arXiv 2411.02711) are from sounds, splits and probes of "
        "its own.",
        f"Scale {scale}: {size.sounds} sounds train and validate, {size.probe_sounds} others are for the probes, a "
        f"fifth of them their test; {size.epochs} epochs; {seeds} seed{'s' * (seeds > 1)}.",
        f"Weights of the main recipe: {weights}.",
        "heareval's probes: 2-layer MLPs of width 1024. The MLP, on the same embeddings: one hidden layer of "
        f"{measures.WIDTH}, {measures.PASSES} passes. ± is a 95 % t-interval over seeds.",
        "A draw is one from the posterior given one frame of a sound; so is that whose mutual information is told.",
    ]


def _say(step: int, what: str) -> None:
    log.info("\n[%d/6] %s", step, what)
