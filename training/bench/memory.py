"""Benchmark of memory for twenty minutes of audio: measured for our front end, extrapolated for stock."""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from training.bench.encoder import OFFICIAL, prepare
from training.bench.interleaved import Repeat, measure_interleaved
from training.bench.row import Row

#: Target for the peak of resident memory, in bytes.
MAX_BYTES = 2.5e9
#: Frames at either end of an excerpt that its edges may affect; more than half the codec's receptive field.
EDGE = 16


def memory_rows(
    size: dict[str, Any] = OFFICIAL, clip: float = 1200.0, short: tuple[float, float] = (10.0, 20.0)
) -> list[Row]:
    """Measure the peak of resident memory for a long clip of noise.

    Args:
        size: arguments of ``dac.DAC``.
        clip: length of the clip in seconds.
        short: two lengths in seconds at which stock is measured, to extrapolate linearly to ``clip``.

    Returns:
        One row.
    """
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        for seconds in short:
            prepare(Path(name), size, seconds)
            (one,) = measure_interleaved([(stock, {"folder": name})], 1, warm_up=False)
            peaks.append(one["bytes"])
        prepare(Path(name), size, clip)
        (found,) = measure_interleaved([(ours, {"folder": name})], 1, warm_up=False)
    slope = (peaks[1] - peaks[0]) / (short[1] - short[0])
    whole = peaks[1] + slope * (clip - short[1])
    return [
        Row(
            f"memory of {clip / 60:g} min, CPU, fp32",
            f"{whole / 1e9:.1f} GB (extrapolated from {short[0]:g} and {short[1]:g} s)",
            f"{found['bytes'] / 1e9:.2f} GB, largest error / standard deviation {found['error']:.1e}",
            whole / found["bytes"],
            f"{found['result'] / 1e9:.2f} GB (audio, latents and the imported libraries)",
            found["result"] / found["bytes"],
            f"at most {MAX_BYTES / 1e9:g} GB, error at most 0.0001",
            found["bytes"] <= MAX_BYTES and found["error"] <= 1e-4,
        )
    ]


def stock(folder: str) -> Repeat:
    """Prepare measuring the memory of unmodified descript-audio-codec.

    Args:
        folder: weights and audio from `training.bench.encoder.prepare`.

    Returns:
        A `Repeat` giving the peak in bytes.
    """
    from dac.model import DAC

    model = DAC.load(str(Path(folder) / "weights.pth")).eval()

    def repeat() -> dict[str, Any]:
        with torch.no_grad():
            model.encoder(model.preprocess(torch.load(Path(folder) / "audio.pt")[:, None], model.sample_rate))
        return {"bytes": _peak()}

    return repeat


def ours(folder: str) -> Repeat:
    """Prepare measuring the memory of our front end, and the error of an excerpt against descript-audio-codec.

    Args:
        folder: weights and audio from `training.bench.encoder.prepare`.

    Returns:
        A `Repeat` giving the peak in bytes; the part of it ("result") that libraries, audio and latents take; and the
        largest error of the excerpt, without its edges, divided by the latents' standard deviation.
    """
    from hear_multiview.frontends import load_frontend
    from hear_multiview.frontends.dac.frontend import CHUNK_FRAMES

    front = load_frontend("demo", Path(folder) / "weights.pth")
    libraries = _peak()

    def repeat() -> dict[str, Any]:
        audio = torch.load(Path(folder) / "audio.pt")
        frames = -(-audio.shape[1] // front.hop)
        latents, start = torch.empty(1, frames, front.dim), 0
        with torch.no_grad():
            for chunk, _ in front.stream(audio):
                latents[:, start : start + chunk.shape[1]] = chunk
                start += chunk.shape[1]
        peak = _peak()
        from dac.model import DAC  # imported late, because it needs much memory itself

        # The excerpt is around the first boundary between two long chunks, if the clip has one.
        middle = CHUNK_FRAMES if frames > CHUNK_FRAMES else frames // 2
        first, last = max(middle - 100, 0), min(middle + 100, frames)
        model = DAC.load(str(Path(folder) / "weights.pth")).eval()
        with torch.no_grad():
            hop = int(front.hop)
            exact = model.encoder(model.preprocess(audio[:, None, first * hop : last * hop], 44_100)).transpose(1, 2)
        inner = slice(EDGE, last - first - EDGE)
        error = (latents[:, first:last][:, inner] - exact[:, inner]).abs().max() / exact.std()
        return {"bytes": peak, "error": float(error), "result": libraries + audio.nbytes + latents.nbytes}

    return repeat


def _peak() -> int:
    """Return the peak of this process's resident memory, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
