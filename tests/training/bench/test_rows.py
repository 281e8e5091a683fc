"""Every family of rows at a tiny size, in this process: what it says is there and follows from what was measured."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hear_multiview.encoders.linear import PRODUCTS
from training.bench import (
    cache,
    encoder,
    gpu,
    memory,
    paper,
    pretraining,
    recordings,
    sampling,
    separation,
    startup,
    storage,
)
from training.bench.peak import peak_flops

TINY = {"encoder_dim": 8, "latent_dim": 32, "decoder_dim": 16}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of their own would spend a minute on imports."""

    def measure_interleaved(
        contenders: list[tuple[Callable[..., Any], dict[str, Any]]], repeats: int, *, warm_up: bool = True
    ) -> list[dict[str, Any]]:
        found = [[function(**arguments)() for _ in range(repeats)] for function, arguments in contenders]
        return [{name: statistics.median(f[name] for f in one) for name in one[0]} for one in found]

    for module in (cache, encoder, gpu, memory, paper, pretraining, recordings, sampling, separation, storage):
        monkeypatch.setattr(module, "measure_interleaved", measure_interleaved)


def test_encoder() -> None:
    rows = encoder.encoder_rows(TINY, 0.5, 1)
    assert [row.what for row in rows] == [
        "latents of 0.5 s, CPU, fp32",
        "encoder's arithmetic, CPU, fp32",
        "latents of 0.5 s, CPU, bf16",
        "encoder's arithmetic, CPU, bf16",
    ]
    for time_row, rate_row in (rows[:2], rows[2:]):
        assert time_row.ratio == rate_row.ratio
        assert time_row.ratio is not None
        assert time_row.ratio > 0
        assert time_row.share == pytest.approx(rate_row.share)
        assert time_row.share is not None
        assert time_row.share > 0
    errors = [float(row.ours.split()[-1]) for row in rows[::2]]
    assert errors[0] <= 1e-4
    assert 1e-4 < errors[1] <= 5e-2  # bf16 keeps 8 bits, and rounds in each of some 30 layers


def test_short_clips() -> None:
    rows = encoder.short_clips_rows(TINY, clips=3, clip=0.25, repeats=1)
    assert [row.what for row in rows] == [f"3 clips of 0.25 s in one call, CPU, {kind}" for kind in ("fp32", "bf16")]
    assert all(row.ratio is not None and row.ratio > 0 and row.share is not None and row.share > 0 for row in rows)


def test_the_encoders_flop_are_those_of_its_layers() -> None:
    """Counted by hand for the official size: a block has three units of 7 + 1 taps and a convolution of 2 strides."""
    samples, by_hand = 862 * 512, 0
    by_hand += 2 * 64 * 7 * samples
    channels, steps = 64, samples
    for stride in (2, 4, 8, 8):
        by_hand += 3 * 2 * channels**2 * 8 * steps
        steps //= stride
        by_hand += 2 * channels * 2 * channels * 2 * stride * steps
        channels *= 2
    by_hand += 2 * 1024 * 1024 * 3 * steps
    assert encoder.flop(encoder.OFFICIAL, 10.0) == pytest.approx(by_hand, rel=1e-3)


def test_memory() -> None:
    (row,) = memory.memory_rows(TINY, 13.0, (0.5, 1.0))
    assert float(row.ours.split()[-1]) <= 1e-4
    assert row.share is not None
    assert row.share > 0


def test_cache() -> None:
    (row,) = cache.cache_rows(TINY, 0.5, 1)
    assert row.ratio is not None
    assert row.ratio > 0
    assert row.met == (row.ratio >= 20)


@pytest.mark.slow  # librosa is slow to import
def test_recordings() -> None:
    (row,) = recordings.recordings_rows(TINY, 2, 0.5, 1)
    assert row.ratio is not None
    assert row.ratio > 0
    assert float(row.ours.split()[-1]) <= 1e-3
    shares = [int(share) for share in re.findall(r"(\d+) %", row.ours)]
    assert len(shares) == 4
    assert sum(shares) == pytest.approx(100, abs=4)


def test_pretraining() -> None:
    rows = pretraining.pretraining_rows(frames=8, dim=16, pairs=2, repeats=1)
    assert len(rows) == 3
    for row in rows:
        assert row.ratio is not None
        assert row.ratio > 0
        assert row.share is None or row.share > 0
    assert any(f"({product})" in rows[1].ours for product in PRODUCTS)
    assert "bf16" in rows[2].what


@pytest.mark.parametrize("stock", [False, True])
def test_the_steps_flop_are_those_of_its_layers(stock: bool) -> None:
    """Three products of a layer in a step, but for the first of the encoder, whose input needs no gradient."""
    found = pretraining.step(frames=4, dim=16, pairs=2, device="cpu", stock=stock)()
    layers = 16 * 512 + 512 * 512 + 512 * 16
    assert found["flop"] == 2 * (2 * 2 * 4) * (3 * 2 * layers - 16 * 512)


def test_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.store.IN_MEMORY", 0)  # what the benchmark sets in its own process is put back
    rows = storage.storage_rows(tmp_path, clips=6, frames=8, dim=16, pairs=2, repeats=1)
    assert [row.what for row in rows][:2] == ["latent store, all clips in order", "latent store, 4 random clips"]
    for row in rows[2:5]:
        assert row.what.startswith("latent store, 4 random clips, from ")
        assert row.ratio is not None
        assert row.ratio > 0
    assert list(tmp_path.iterdir()) == []


def test_paper() -> None:
    runs, start = paper.paper_rows(clips=8, frames=8, dim=16, width=8, repeats=1)
    assert runs.ratio is not None
    assert runs.ratio > 0
    assert start.ratio is not None
    assert start.ratio > 0


def test_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"import torch": 2.0, "import hear_multiview": 2.5, startup.DEPENDENCIES: 4.0}
    monkeypatch.setattr(startup, "_seconds", lambda code: times.get(code, 5.5))
    imported, loaded = startup.startup_rows(1)
    assert imported.met
    assert imported.share == 0.8
    assert not loaded.met


def test_gpu_rows_run_on_any_device() -> None:
    rows = gpu.gpu_rows(TINY, 0.1, 1, device="cpu")
    assert len(rows) == 4
    assert all("GPU" in row.what for row in rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_no_gpu() -> None:
    with pytest.raises(ValueError, match="GPU"):
        gpu.gpu_rows()


def test_the_best_rate_is_at_least_that_of_products() -> None:
    found = peak_flops(torch.float32, size=64, repeats=1)
    assert found["best"] >= found["matmul"] > 0


def test_sampling() -> None:
    step, example, memory = sampling.sampling_rows(clips=24, batch=8, minutes=0.1, repeats=1)
    assert step.share is not None
    assert 0 < step.share <= 1.5
    assert example.ratio is not None
    assert example.ratio > 0
    assert memory.share is not None
    assert 0 < memory.share <= 1.05  # the process had its peak before


def test_the_default_layout_computes_the_same() -> None:
    _, model = sampling._trainer("sampling_clip")
    x = torch.randn(2, 96, 64)
    expected = model.encoder(x)[0]
    sampling._use_default_layout(model.encoder)
    torch.testing.assert_close(model.encoder(x)[0], expected)


def test_separation() -> None:
    *losses, whole = separation.separation_rows(sources=3, batch=2, seconds=0.2, clip=0.5, repeats=1)
    assert losses[0].stock.endswith("(direct sums)")
    for row in losses:
        assert float(row.ours.split()[-1]) <= 1e-5
        assert row.ratio is not None
        assert row.ratio > 0
    assert whole.ratio is None
    assert whole.met == (float(whole.ours.split(", ")[1].split()[0]) >= 20)
