"""Benchmark of the codec's encoder, compared with descript-audio-codec and with the peak of the machine."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from training.bench.interleaved import Repeat, measure_interleaved
from training.bench.peak import peak_flops
from training.bench.row import Row

#: The official codec's encoder. The decoder is not used and therefore small.
OFFICIAL: dict[str, Any] = {"encoder_dim": 64, "latent_dim": 1024, "decoder_dim": 64}


def encoder_rows(size: dict[str, Any] = OFFICIAL, clip: float = 10.0, repeats: int = 7) -> list[Row]:
    """Measure time and arithmetic rate of the encoder in fp32 and in bf16, on noise and with random weights.

    Args:
        size: arguments of ``dac.DAC``.
        clip: length of the clip in seconds.
        repeats: number of measurements; the median is reported.

    Returns:
        Four rows: time and FLOP/s, in fp32, then in bf16.
    """
    with tempfile.TemporaryDirectory() as name:
        took, fp32, bf16 = _measured(Path(name), size, clip, 1, repeats)
        latents = {kind: torch.load(Path(name) / f"{kind}.pt") for kind in ("stock", "fp32", "bf16")}
        work = flop(size, clip)
    exact = latents["stock"]
    error = float((latents["fp32"] - exact).abs().max() / exact.std())
    relative = float((latents["bf16"] - exact).norm() / exact.norm())
    rows = []
    for precision, found, wrong, what, most, times, least in (
        ("fp32", fp32, error, "largest error / standard deviation", 1e-4, 4, 0.8),
        ("bf16", bf16, relative, "relative error", 2e-2, 7, 0.6),
    ):
        time_row = _time_row(f"latents of {clip:g} s, CPU, {precision}", took, found, work, times)
        rows.append(
            replace(
                time_row,
                ours=f"{time_row.ours}, {what} {wrong:.1e}",
                target=f"{time_row.target}, error at most {most:g}",
                met=time_row.met and wrong <= most,
            )
        )
        rate = work / found["seconds"]
        rows.append(
            Row(
                f"encoder's arithmetic, CPU, {precision}",
                f"{work / took['seconds'] / 1e9:.0f} GFLOP/s",
                f"{rate / 1e9:.0f} GFLOP/s",
                time_row.ratio,
                f"{found['best'] / 1e9:.0f} GFLOP/s",
                rate / found["best"],
                f"at least {100 * least:.0f} % of the limit",
                rate / found["best"] >= least,
            )
        )
    return rows


def short_clips_rows(
    size: dict[str, Any] = OFFICIAL, clips: int = 32, clip: float = 1.0, repeats: int = 3
) -> list[Row]:
    """Measure many short clips in one call, as a data set of them is embedded, in fp32 and in bf16."""
    with tempfile.TemporaryDirectory() as name:
        took, *found = _measured(Path(name), size, clip, clips, repeats)
    work, what = clips * flop(size, clip), f"{clips} clips of {clip:g} s in one call, CPU"
    return [
        _time_row(f"{what}, {precision}", took, one, work, times)
        for precision, one, times in zip(("fp32", "bf16"), found, (4, 9), strict=True)
    ]


def _measured(folder: Path, size: dict[str, Any], clip: float, clips: int, repeats: int) -> list[dict[str, Any]]:
    """What `stock`, then `ours` in fp32 and in bf16 give for ``clips`` clips in one call."""
    prepare(folder, size, clip)
    common: dict[str, Any] = {"folder": str(folder), "clips": clips}
    fp32, bf16 = ((ours, {**common, "precision": kind}) for kind in ("fp32", "bf16"))
    return measure_interleaved([(stock, common), fp32, bf16], repeats)


def _time_row(what: str, took: dict[str, Any], found: dict[str, Any], work: float, times: float) -> Row:
    """The seconds of `stock` and of `ours` for ``work`` FLOP; the target is to be ``times`` as fast."""
    ratio, least = took["seconds"] / found["seconds"], work / found["best"]
    seconds = f"{took['seconds']:.2f} s", f"{found['seconds']:.2f} s"
    share = least / found["seconds"]
    return Row(what, *seconds, ratio, f"{least:.2f} s", share, f"at least {times:g} x", ratio >= times)


def prepare(folder: Path, size: dict[str, Any], clip: float) -> None:
    """Write weights and audio for all contenders.

    Args:
        folder: gets ``weights.pth`` and ``audio.pt`` (noise at −24 LUFS, [1, sample]).
        size: arguments of ``dac.DAC``.
        clip: length of the audio in seconds.
    """
    from hear_multiview.audio import loudness
    from training.codec.bundle import seeded_codec

    seeded_codec(0, **size).save(str(folder / "weights.pth"), package=False)
    audio = torch.randn(1, round(clip * 44_100), generator=torch.Generator().manual_seed(0)) * 0.05
    torch.save(audio * loudness.gains(audio, 44_100), folder / "audio.pt")


def stock(folder: str, device: str = "cpu", clips: int = 1) -> Repeat:
    """Prepare measuring unmodified descript-audio-codec: preprocessing and encoder, on a batch of whole clips.

    Args:
        folder: weights and audio from `prepare`.
        device: where to compute.
        clips: copies of the clip in the batch.

    Returns:
        A `Repeat` giving the seconds; the latents are written to ``stock.pt``, [clip, frame, dim].
    """
    from dac.model import DAC

    model = DAC.load(str(Path(folder) / "weights.pth")).eval().to(device)
    audio = torch.load(Path(folder) / "audio.pt").repeat(clips, 1).to(device)

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        with torch.no_grad():
            latents = model.encoder(model.preprocess(audio[:, None], model.sample_rate)).cpu()  # synchronises a GPU
        took = time.perf_counter() - start
        torch.save(latents.transpose(1, 2).clone(), Path(folder) / "stock.pt")
        return {"seconds": took}

    return repeat


def ours(folder: str, precision: str, device: str = "cpu", clips: int = 1) -> Repeat:
    """Prepare measuring our front end, which also normalises the loudness.

    Args:
        folder: weights and audio from `prepare`.
        precision: "fp32" or "bf16".
        device: where to compute.
        clips: copies of the clip in the batch.

    Returns:
        A `Repeat` giving the seconds and, measured right after, the machine's `peak_flops`; the latents are written to
        a file named like the precision, [clip, frame, dim].
    """
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
        return {"seconds": took, **peak_flops(dtype, device=device)}

    return repeat


def flop(size: dict[str, Any], clip: float) -> int:
    """Count the floating-point operations of the encoder with torch's counter, without computing anything.

    Args:
        size: arguments of ``dac.DAC``.
        clip: length of the clip in seconds.

    Returns:
        FLOP of the convolutions for one clip; a multiply-add counts as two.
    """
    from training.codec.bundle import seeded_codec

    encoder = seeded_codec(0, **size).encoder.to("meta")
    with FlopCounterMode(display=False) as counter:
        encoder(torch.empty(1, 1, -(-round(clip * 44_100) // 512) * 512, device="meta"))
    return counter.get_total_flops()
