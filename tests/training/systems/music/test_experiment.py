"""The music system: its tasks, what is measured of a run, and all of it at the smallest size."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hear_multiview
from training.data.store import LatentStore
from training.engine.pretrain import Run, pretrain
from training.systems.music import experiment, sounds
from training.systems.music.recipes import ABLATION, MUSIC
from training.systems.music.traversals import load_vae

TINY = replace(MUSIC, model={**MUSIC.model, "width": 32}, epochs=2, batch_size=64)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LatentStore:
    """Four rounds of all combinations."""
    folder = tmp_path_factory.mktemp("music")
    return experiment.extract_sounds(sounds.generate(folder / "sounds", 4 * 84, seed=1), folder / "latents")


@pytest.fixture(scope="module")
def run(store: LatentStore) -> Run:
    return pretrain(TINY, store, Path(store.path).parent / "runs")


def test_a_run_of_music_is_one_of_the_common_loop(run: Run) -> None:
    assert {*run.history[0]["train"]} == {*MUSIC.objectives, "total"}
    assert run.history[-1]["valid"]["total"] < run.history[0]["valid"]["total"]


def test_validation_draws_the_same_in_every_run(run: Run, store: LatentStore) -> None:
    torch.rand(7)  # another random state around the run
    again = pretrain(TINY, store, Path(store.path).parent / "again")
    assert again.history == run.history
    assert again.checkpoint.read_bytes() == run.checkpoint.read_bytes()


def test_its_checkpoint_is_a_hear_model_of_eight_dimensions(run: Run) -> None:
    sizes = {}
    audio = torch.from_numpy(sounds.sound(np.random.default_rng(0), 1, 5)).float()[None]
    for view in ("joint", "private", "shared", "frontend"):
        model = hear_multiview.load_model(run.checkpoint, view=view)
        sizes[view] = model.scene_embedding_size
        assert hear_multiview.get_scene_embeddings(audio, model).shape == (1, model.scene_embedding_size)
        assert hear_multiview.get_timestamp_embeddings(audio, model)[0].shape == (1, 31, model.scene_embedding_size)
    assert sizes == {"joint": 8, "private": 4, "shared": 4, "frontend": 64}


def test_what_is_measured_is_of_the_embeddings_that_heareval_gets(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = sounds.generate(tmp_path / "probes", 5 * 84, seed=2)
    frames = experiment.probe_frames(probes)
    seen: dict[int, np.ndarray] = {}

    def sees(train: tuple[np.ndarray, ...], test: tuple[np.ndarray, ...], _: int) -> float:
        seen.setdefault(train[0].shape[1], train[0])
        return float(len(test[0]))

    monkeypatch.setattr(experiment.measures, "mlp_accuracy", sees)
    monkeypatch.setattr(experiment.measures, "mutual_information_ross", lambda z, _: float(z.shape[1]))
    monkeypatch.setattr(experiment.measures, "by_dimension", lambda z, _: np.arange(z.shape[1]))
    monkeypatch.setattr(experiment.measures, "mutual_information_gap", lambda values, labels: len(set(labels)))
    found = experiment.measure_run(run.checkpoint.parent, frames, probes, seed=0)
    model = hear_multiview.load_model(run.checkpoint)
    audio = torch.stack([torch.from_numpy(experiment.read_mono(sound.path, 16_000)) for sound in probes[:3]])
    embedding = hear_multiview.get_scene_embeddings(audio, model)
    np.testing.assert_allclose(seen[8][:3], embedding, atol=1e-5)
    assert found["gap"] == {"timbre": 4, "frequency": 21}
    assert found["accuracy"]["shared"] == {"timbre": 84.0, "frequency": 84.0}
    monkeypatch.setattr(experiment.measures, "mutual_information_ross", None)
    assert experiment.measure_run(run.checkpoint.parent, frames, probes, seed=0) == found
    with pytest.raises(TypeError):  # of other frames, it is measured anew
        experiment.measure_run(run.checkpoint.parent, frames + 1, probes, seed=0)
    (run.checkpoint.parent / "measures.json").write_text('{"accuracy": {')
    with pytest.raises(TypeError):  # as where its file is damaged
        experiment.measure_run(run.checkpoint.parent, frames, probes, seed=0)


def test_draws_are_as_wide_as_the_posteriors(run: Run) -> None:
    vae = load_vae(run.checkpoint)
    frames = torch.randn(1, 5, 64).expand(4000, -1, -1)
    drawn = experiment.draws(vae, frames, seed=0)
    private, shared = vae.posteriors(frames[:1, 2:3])
    for name, q in (("private", private), ("shared", shared)):
        np.testing.assert_allclose(drawn[name].mean(0), q.mean[0].detach(), atol=0.08)
        np.testing.assert_allclose(drawn[name].var(0), q.log_variance[0].detach().exp(), rtol=0.1)
    assert np.array_equal(drawn["joint"], np.concatenate([drawn["private"], drawn["shared"]], axis=1))
    assert np.array_equal(drawn["joint"], experiment.draws(vae, frames, seed=0)["joint"])


def test_every_split_holds_every_combination_equally_often(tmp_path: Path) -> None:
    clips = sounds.generate(tmp_path, 10 * 84, seed=2)
    timbre, frequency = experiment.tasks(clips)
    for split, rounds in (("train", 6), ("valid", 2), ("test", 2)):
        assert list(timbre.splits[split]) == list(frequency.splits[split])
        both = [(*a, *b) for a, b in zip(timbre.splits[split].values(), frequency.splits[split].values(), strict=True)]
        assert Counter(both).most_common()[0][1] == Counter(both).most_common()[-1][1] == rounds
        assert len(set(both)) == 84
    assert set(timbre.vocabulary) == {labels[0] for labels in timbre.splits["test"].values()}
    assert set(frequency.vocabulary) == {labels[0] for labels in frequency.splits["test"].values()}


def test_unknown_sizes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'huge'.*full.*small"):
        experiment.music(tmp_path, "huge")
    with pytest.raises(ValueError, match="0 seeds"):
        experiment.music(tmp_path, seeds=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_whole_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    size = experiment.Scale(2 * 84, 5 * 84, seeds=3, epochs=1, batch_size=64)
    monkeypatch.setitem(experiment.SCALES, "small", size)
    few = {term: rows[:2] for term, rows in list(ABLATION.items())[-1:]}
    monkeypatch.setattr(experiment, "ABLATION", few)
    caplog.set_level("INFO", "training")
    page = experiment.music(tmp_path)
    printed = "\n".join(caplog.messages)
    line = r"^\| (private|shared|joint) +\| (timbre|frequency) +\|(.*)\| +0\.\d+ \|(.*)\|(.*)\|$"
    table = re.findall(line, printed, re.M)
    assert [row[:2] for row in table] == [(s, f) for s in ("private", "shared", "joint") for f in experiment.FACTORS]
    assert all("±" in mlp and "±" in official and "±" in drawn for *_, mlp, official, drawn in table)
    text = page.read_text(encoding="utf-8")
    assert text.count("<audio") == 8
    assert text.count("<img") == 3
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json") if "tasks" not in path.parts}
    assert experiment.music(tmp_path) == page
    assert {path: path.stat().st_mtime_ns for path in before} == before
