"""From recordings to a HEAR model: renditions, the store, a run, and what its checkpoint gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import hear_multiview
from hear_multiview import checkpoint
from hear_multiview.frontends import load_frontend
from training.data.batches import batches, draw_examples
from training.data.extraction import extract
from training.data.records import Clip, Description, Partition
from training.data.store import LatentStore
from training.engine.pretrain import pretrain
from training.recipes import Recipe, recipe_named
from training.systems.sampling.recipes import ABLATION, COSINE, CROP, PUBLISHED, VARIANTS

CLIPS = 24


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """`sampling_all` at a size for this test."""
    model = {**recipe_named("sampling_all").model, "channels": [4, 8, 8, 8], "latent": 16, "projection": 16}
    return replace(recipe_named("sampling_all"), model=model, epochs=8, batch_size=8, examples_per_clip=2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> LatentStore:
    """Clips of 1.5 s, each a note in noise that is on and off at a rate of its own."""
    folder = tmp_path_factory.mktemp("sampling")
    clips, files = [], {}
    time = np.arange(24_000) / 16_000
    for k in range(CLIPS):
        rng = np.random.default_rng(k)
        note = np.sin(2 * np.pi * rng.uniform(200, 2000) * time) + rng.standard_normal(len(time))
        gate = np.cos(2 * np.pi * (rng.uniform(1, 4) * time + rng.uniform())) > 0
        clips.append(Clip(f"{k}.wav", "all"))
        files[f"{k}.wav"] = folder / f"{k}.wav"
        soundfile.write(files[f"{k}.wav"], 0.1 * note * gate, 16_000)
    about = Description(clips, {}, Partition(train=("all",)), renditions=recipe.renditions)
    return extract(about, files, load_frontend("log_mel_16k"), folder / "latents")


def test_renditions_are_as_long_as_the_originals_and_aligned(store: LatentStore, recipe: Recipe) -> None:
    for name in recipe.renditions:
        assert store.lengths(range(CLIPS), name).tolist() == [150] * CLIPS
    plain = replace(recipe, augmentations={})
    own, cross = [], []
    for batch in batches(store, draw_examples(store, plain, 0)["train"], plain, seed=0):
        assert batch.views[0].shape[1:] == (CROP, 64)
        for first, other, shifted in zip(*(x.mean(2) for x in batch.views), strict=True):
            own.append(np.corrcoef(first, shifted)[0, 1])
            cross.append(np.corrcoef(first, other)[0, 1])
    assert min(own) > 0.9
    assert np.mean(cross) < 0.5


def test_it_learns_and_its_checkpoint_is_a_hear_model(store: LatentStore, recipe: Recipe, tmp_path: Path) -> None:
    run = pretrain(recipe, store, tmp_path / "runs")
    assert run.history[-1]["train"]["total"] < run.history[0]["train"]["total"]
    assert {*run.history[0]["valid"]} == {*recipe.objectives, "total"}
    model = hear_multiview.load_model(run.checkpoint)
    audio = 0.1 * torch.randn(2, 40_000, generator=torch.Generator().manual_seed(0))
    frames, times = hear_multiview.get_timestamp_embeddings(audio, model)
    assert frames.shape == (2, 31, 16)  # 250 frames of 10 ms, eight at a time; the centre of the last is beyond the end
    assert times.diff().unique().tolist() == [80.0]
    scene = hear_multiview.get_scene_embeddings(audio, model)
    torch.testing.assert_close(scene, frames.amax(dim=1))  # as in the source


def test_recipes_differ_only_in_what_their_names_say() -> None:
    clip, frame, pitch, everything = ABLATION
    assert [{*recipe.objectives} - {"clip_contrast"} for recipe in ABLATION] == [
        set(),
        {"frame_contrast"},
        {"pitch_regression"},
        {"frame_contrast", "pitch_regression"},
    ]
    assert everything.objectives == {**frame.objectives, **pitch.objectives}
    only_clip = {"clip_contrast": 1.0}
    assert replace(frame, name="", objectives=only_clip) == replace(everything, name="", objectives=only_clip)
    for recipe in (frame, pitch, everything):
        assert (recipe.epochs, recipe.batch_size, recipe.crop) == (clip.epochs, clip.batch_size, clip.crop)
        assert max(abs(float(s[6:-1])) for s in recipe.renditions[1:]) == recipe.model.get("largest_shift", 3.0)
    for bilinear, cosine in zip(ABLATION[1:], COSINE, strict=True):
        assert cosine.model == {**bilinear.model, "similarity": "cosine"}
        assert replace(cosine, name=bilinear.name, model=bilinear.model) == bilinear
    changed = [{key for key, value in vars(recipe).items() if value != vars(clip)[key]} for recipe in VARIANTS]
    assert changed == [{"name", field} for field in ("model", "model", "augmentations", "augmentations", "views")]
    assert "channel" in clip.augmentations


def test_the_published_recipe_trains(tmp_path: Path, make_store: Callable[..., LatentStore]) -> None:
    """At its own sizes but for the batch and the number of clips: EfficientNet-B0, and noise on the positive."""
    clips = [Clip(f"{k}.wav", 0) for k in range(20)]
    frames = [np.random.default_rng(k).normal(size=(120, 64)) for k in range(20)]
    store = make_store(tmp_path / "s", clips, frames, Partition((0,)), dim=64, renditions=PUBLISHED.renditions)
    run = pretrain(replace(PUBLISHED, epochs=1, batch_size=4, examples_per_clip=1), store, tmp_path / "runs")
    assert {*run.history[0]["valid"]} == {*PUBLISHED.objectives, "total"}
    encoder = checkpoint.load(run.checkpoint).encoder()
    assert (encoder.arguments["kind"], encoder.parts) == ("efficientnet_b0", {"embedding": 512})
