"""The codec's encoder: latents of clips of ten seconds, beside descript-audio-codec's own, and beside the machine."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from training.bench.limits import rates
from training.bench.row import Row
from training.bench.turns import Comparison, Repeat, by_turns

#: The official codec's encoder. Its decoder is not used, and so made small.
OFFICIAL: dict[str, Any] = {"encoder_dim": 64, "latent_dim": 1024, "decoder_dim": 64}


def encoder_rows(size: dict[str, Any] = OFFICIAL, clip: float = 10.0, repeats: int = 7) -> list[Row]:
    """Four rows: time and share of the machine, each in fp32 and in bf16, for a codec of ``size`` with seeded weights
    and ``clip`` seconds of noise."""
    with tempfile.TemporaryDirectory() as name:
        common = {"folder": name}
        prepare(Path(name), size, clip)
        sides: list[Comparison] = [
            (stock, common),
            (ours, {**common, "precision": "fp32"}),
            (ours, {**common, "precision": "bf16"}),
        ]
        took, fp32, bf16 = by_turns(sides, repeats)
        latents = {who: torch.load(Path(name) / f"{who}.pt") for who in ("stock", "fp32", "bf16")}
        work = flop(size, clip)
    exact = latents["stock"]
    error = float((latents["fp32"] - exact).abs().max() / exact.std())
    relative = float((latents["bf16"] - exact).norm() / exact.norm())
    rows = []
    for precision, found, wrong, what, most, times in (
        ("fp32", fp32, error, "largest error over deviation", 1e-4, 4),
        ("bf16", bf16, relative, "relative error", 2e-2, 7),
    ):
        ratio = took["seconds"] / found["seconds"]
        rate = work / found["seconds"]
        rows.append(
            Row(
                f"latents of {clip:g} s, CPU, {precision}",
                f"{took['seconds']:.2f} s",
                f"{found['seconds']:.2f} s, {what} {wrong:.1e}",
                ratio,
                f"{work / found['best']:.2f} s",
                work / found["best"] / found["seconds"],
                f"at least {times} x, error at most {most:g}",
                ratio >= times and wrong <= most,
            )
        )
        least = {"fp32": 0.8, "bf16": 0.6}[precision]
        rows.append(
            Row(
                f"encoder's arithmetic, CPU, {precision}",
                f"{work / took['seconds'] / 1e9:.0f} GFLOP/s",
                f"{rate / 1e9:.0f} GFLOP/s",
                ratio,
                f"{found['best'] / 1e9:.0f} GFLOP/s",
                rate / found["best"],
                f"at least {100 * least:.0f} % of the limit",
                rate / found["best"] >= least,
            )
        )
    return rows


def prepare(folder: Path, size: dict[str, Any], clip: float) -> None:
    """Weights and audio at −24 LUFS, the same for every side, in ``folder``."""
    from hear_multiview.audio import loudness
    from training.codec.bundle import seeded_codec

    seeded_codec(0, **size).save(str(folder / "weights.pth"), package=False)
    audio = torch.randn(1, round(clip * 44_100), generator=torch.Generator().manual_seed(0)) * 0.05
    torch.save(audio * loudness.gains(audio, 44_100), folder / "audio.pt")


def stock(folder: str, device: str = "cpu", clips: int = 1) -> Repeat:
    """descript-audio-codec as it is: pre-processing and encoder, of all of the clip, ``clips`` times, at once."""
    from dac.model import DAC

    model = DAC.load(str(Path(folder) / "weights.pth")).eval().to(device)
    audio = torch.load(Path(folder) / "audio.pt").repeat(clips, 1).to(device)

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        with torch.no_grad():
            latents = model.encoder(model.preprocess(audio[:, None], model.sample_rate)).cpu()  # waits for a GPU
        took = time.perf_counter() - start
        torch.save(latents.transpose(1, 2).clone(), Path(folder) / "stock.pt")
        return {"seconds": took}

    return repeat


def ours(folder: str, precision: str, device: str = "cpu", clips: int = 1) -> Repeat:
    """The front end, which measures the loudness, too; and right after it what the machine can do."""
    from hear_multiview.frontends import load_frontend

    front = load_frontend("demo", Path(folder) / "weights.pth", precision)
    front.to(device)
    audio = torch.load(Path(folder) / "audio.pt").repeat(clips, 1).to(device)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        with torch.no_grad():
            latents: Tensor = torch.cat([frames for frames, _ in front.stream(audio)], dim=1).cpu()
        took = time.perf_counter() - start
        torch.save(latents, Path(folder) / f"{precision}.pt")
        return {"seconds": took, **rates(dtype, device=device)}

    return repeat


def flop(size: dict[str, Any], clip: float) -> int:
    """Of the convolutions for a whole clip, as torch counts them, without computing anything."""
    from training.codec.bundle import seeded_codec

    encoder = seeded_codec(0, **size).encoder.to("meta")
    with FlopCounterMode(display=False) as counter:
        encoder(torch.empty(1, 1, -(-round(clip * 44_100) // 512) * 512, device="meta"))
    return counter.get_total_flops()
