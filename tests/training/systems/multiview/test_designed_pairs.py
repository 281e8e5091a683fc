"""Pairs by design: dry scenes, sensors that are drawn, and the halves' training on them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hear_multiview import checkpoint, load_model
from hear_multiview.frontends import load_frontend
from sonyc_tasks.dataset.audio import read_mono
from training.data.augmentations import Draws, augmented
from training.data.batches import Batch, batches, draw_examples
from training.data.records import Clip, Partition
from training.data.store import LatentStore
from training.engine.pretrain import _schedule, pretrain
from training.systems.multiview import augmentations as module
from training.systems.multiview.augmentations import sensor
from training.systems.multiview.dry_scenes import SECONDS, dry_scenes, extract_scenes
from training.systems.multiview.methods import DesignedPairs
from training.systems.multiview.recipes import BUNDLED
from training.systems.multiview.views import scenes_and_sensors

SIZES = {"private": 8, "shared": 8, "width": 16}
RECIPE = replace(
    BUNDLED, name="tiny", model=SIZES, examples_per_clip=4, crop=48, epochs=3, batch_size=8, schedule="constant"
)


def draws(own: int, of_sensor: int) -> Draws:
    return Draws(torch.Generator().manual_seed(own), torch.Generator().manual_seed(of_sensor))


def silence(frames: int = 400) -> torch.Tensor:
    return torch.full((frames, 64), math.log(1e-8))


def test_examples_are_two_scenes_by_the_same_two_sensors() -> None:
    examples = scenes_and_sensors([Clip(str(k), 0) for k in range(7)], 3, (), seed=1)
    assert examples.clips.shape == (21, 4)
    assert (examples.clips[:, 0] == examples.clips[:, 1]).all()
    assert (examples.clips[:, 2] == examples.clips[:, 3]).all()
    assert (examples.clips[:, 0] != examples.clips[:, 2]).all()
    assert examples.sensors == (0, 1, 0, 1)
    with pytest.raises(ValueError, match="two scenes"):
        scenes_and_sensors([Clip("alone", 0)], 3, (), seed=1)


def test_a_sensor_is_the_same_for_all_that_it_hears_and_noise_is_not() -> None:
    """In silence, a sensor has its background: two clips of it differ less than those of two sensors."""

    def spectrum(own: int, of_sensor: int) -> np.ndarray:
        return sensor(silence(), 6.0, draws(own, of_sensor)).mean(0).numpy()

    same = [np.abs(spectrum(2 * k, k) - spectrum(2 * k + 1, k)).mean() for k in range(20)]
    other = [np.abs(spectrum(2 * k, k) - spectrum(2 * k + 1, k + 100)).mean() for k in range(20)]
    assert np.mean(same) < 0.5 * np.mean(other)
    assert min(same) > 0


def test_draws_hang_on_seed_example_and_sensor_only() -> None:
    frames = torch.randn(30, 64, generator=torch.Generator().manual_seed(0)) - 8
    recipe = {"sensor": 6.0}
    same = {"seed": 1, "example": 2, "view": 0, "sensor": 0}
    first = augmented(frames, recipe, **same)
    assert torch.equal(first, augmented(frames, recipe, **same))
    for changed in same:
        assert not torch.equal(first, augmented(frames, recipe, **{**same, changed: 9}))


def test_reverberation_decays_by_60_db_in_its_time() -> None:
    """Of one loud frame; in float64 from the formula."""
    decay, wet, step = 0.8, 0.5, 512 / 16_000
    power = torch.zeros(60, 3)
    power[10] = 1.0
    found = module._reverberated(power, decay, wet).double().numpy()
    since = np.arange(50) * step
    tail = wet * 10 ** (-6 * since / decay) * (1 - 10 ** (-6 * step / decay))
    expected = np.zeros((60, 3))
    expected[10:] = tail[:, None]
    expected[10] += 1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9)


def test_a_loud_scene_stays_what_it_is_but_for_the_response() -> None:
    """Far above all noise, the difference between two moments of a dry scene is hardly changed by any sensor."""
    frames = silence(100)
    frames[30:60] = 4.0 + torch.arange(64) / 30
    frames[60:90] = 6.0 - torch.arange(64) / 30
    plain = frames[75] - frames[45]
    heard = [sensor(frames, 0.0, draws(k, k)) for k in range(20)]
    errors = torch.stack([(x[75] - x[45] - plain).abs().mean() for x in heard])
    assert errors.median() < 0.7


def test_scenes_are_made_once_and_have_sound_everywhere(tmp_path: Path) -> None:
    files = dry_scenes(tmp_path, 4, seed=3)
    before = {name: path.read_bytes() for name, path in files.items()}
    files["scene_00002.wav"].unlink()
    assert {name: path.read_bytes() for name, path in dry_scenes(tmp_path, 4, seed=3).items()} == before
    assert len(set(before.values())) == 4
    for path in files.values():
        audio = read_mono(path, 16_000)
        assert len(audio) == SECONDS * 16_000
        loud = np.abs(audio).reshape(8, -1).max(1) > 1e-3
        assert loud.sum() >= 4
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        dry_scenes(tmp_path, 4, seed=4)


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=RECIPE.learning_rate)
    before_step = _schedule(replace(RECIPE, schedule="cosine"), 7, optimizer)
    rates = []
    for epoch in range(RECIPE.epochs):
        for step in range(7):
            before_step(epoch, step)
            rates.append(optimizer.param_groups[0]["lr"])
    expected = RECIPE.learning_rate * (1 + np.cos(np.pi * np.arange(21) / 21)) / 2
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"'linear'.*cosine"):
        replace(RECIPE, schedule="linear")


def test_training_separates_the_halves(tmp_path: Path) -> None:
    """The losses fall, the same run gives the same bytes, and the checkpoint embeds."""
    files = dry_scenes(tmp_path / "scenes", 16, 5)
    store = extract_scenes(files, load_frontend("log_mel"), tmp_path / "store", "words")
    run = pretrain(RECIPE, store, tmp_path / "runs", seed=0)
    first, last = run.history[0]["valid"], run.history[-1]["valid"]
    assert last["total"] < 0.95 * first["total"]
    again = pretrain(RECIPE, store, tmp_path / "again", seed=0)
    assert again.checkpoint.read_bytes() == run.checkpoint.read_bytes()
    model = load_model(run.checkpoint, view="private")
    assert model.scene(torch.randn(1, 16_000)).shape == (1, 16)
    # Standardised frames of what sensors hear, not of dry scenes: about zero mean and unit deviation.
    (batch, *_) = batches(store, draw_examples(store, RECIPE, 0)["train"], RECIPE, 7)
    frames = model.encoder.standardise(torch.cat(batch.views)).flatten(0, 1)  # type: ignore[union-attr]
    assert frames.mean(0).abs().mean() < 0.5
    assert 0.6 < frames.std(0).mean() < 1.5


def test_a_band_in_which_nothing_is_ever_heard_is_not_divided_by_zero(
    tmp_path: Path, make_store: Callable[..., LatentStore]
) -> None:
    clips = [Clip(str(k), k // 6) for k in range(8)]
    frames = [np.random.default_rng(k).normal(size=(50, 6)) for k in range(8)]
    for of_clip in frames:
        of_clip[:, 2] = -18.0
    store = make_store(tmp_path / "store", clips, frames, Partition((0,), (1,)), dim=6)
    run = pretrain(replace(RECIPE, augmentations={}, epochs=1), store, tmp_path / "runs")
    encoder = checkpoint.load(run.checkpoint).encoder()
    assert encoder.mean[2] == -18
    assert encoder.scale[2] == 1
    assert (encoder.scale > 0.5).all()


def test_labels_of_rows_follow_the_order_of_views() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        method = DesignedPairs(4, projection=3, **SIZES).eval()
    scenes, places = torch.randn(2, 3, 20, 4), torch.randn(2, 3, 1, 4)
    views = tuple(scenes[s] + places[p] for s, p in ((0, 0), (0, 1), (1, 0), (1, 1)))
    out = method(Batch(views, {}))
    # Views 0 and 1 of an example show one scene: their private halves are equal, as places are constant offsets.
    for k in range(3):
        rows = [k, 3 + k, 6 + k, 9 + k]
        assert out.scene[rows].tolist() == [2 * k, 2 * k, 2 * k + 1, 2 * k + 1]
        assert out.sensor[rows].tolist() == [2 * k, 2 * k + 1, 2 * k, 2 * k + 1]
        torch.testing.assert_close(out.private[rows[0]], out.private[rows[1]], atol=1e-3, rtol=1e-3)
        assert not torch.allclose(out.private[rows[0]], out.private[rows[2]], atol=1e-2)


def test_a_head_sees_what_its_half_is_pooled_to() -> None:
    method = DesignedPairs(4, projection=3, **SIZES, shared_pool="mean").eval()
    assert [head[0].num_features for head in method.heads.values()] == [16, 8]  # type: ignore[index]
    x = torch.randn(2, 20, 4)
    out = method(Batch((x,) * 4, {}))
    _, shared = method.encoder(x)
    torch.testing.assert_close(out.shared[:2], method.heads["shared"](shared.mean(dim=1)))
