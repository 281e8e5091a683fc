"""Memory of twenty minutes of audio: of the front end measured, of descript-audio-codec's extrapolated."""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from training.bench.encoder import OFFICIAL, prepare
from training.bench.row import Row
from training.bench.turns import Repeat, by_turns

#: In bytes.
MOST = 2.5e9
#: Frames at either end of an excerpt that feel its edges; more than the codec's reach.
EDGE = 16


def memory_rows(
    size: dict[str, Any] = OFFICIAL, clip: float = 1200.0, short: tuple[float, float] = (10.0, 20.0)
) -> list[Row]:
    """One row: the peak of resident memory for ``clip`` seconds of noise. Stock is measured on clips of the two
    ``short`` lengths, by seconds, and a line through these is followed to ``clip``."""
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        for seconds in short:
            prepare(Path(name), size, seconds)
            (one,) = by_turns([(stock, {"folder": name})], 1, rehearse=False)
            peaks.append(one["bytes"])
        prepare(Path(name), size, clip)
        (found,) = by_turns([(ours, {"folder": name})], 1, rehearse=False)
    slope = (peaks[1] - peaks[0]) / (short[1] - short[0])
    whole = peaks[1] + slope * (clip - short[1])
    return [
        Row(
            f"memory of {clip / 60:g} min, CPU, fp32",
            f"{whole / 1e9:.1f} GB (extrapolated from {short[0]:g} and {short[1]:g} s)",
            f"{found['bytes'] / 1e9:.2f} GB, largest error over deviation {found['error']:.1e}",
            whole / found["bytes"],
            f"{found['result'] / 1e9:.2f} GB (audio, latents and the imported libraries)",
            found["result"] / found["bytes"],
            f"at most {MOST / 1e9:g} GB, error at most 0.0001",
            found["bytes"] <= MOST and found["error"] <= 1e-4,
        )
    ]


def stock(folder: str) -> Repeat:
    """descript-audio-codec of the clip in ``folder``: its peak of memory."""
    from dac.model import DAC

    model = DAC.load(str(Path(folder) / "weights.pth")).eval()

    def repeat() -> dict[str, Any]:
        with torch.no_grad():
            model.encoder(model.preprocess(torch.load(Path(folder) / "audio.pt")[:, None], model.sample_rate))
        return {"bytes": _peak()}

    return repeat


def ours(folder: str) -> Repeat:
    """All latents of the clip in ``folder``: the peak of memory; how much of it is the libraries, the audio and the
    result; and the largest error of an excerpt from the middle, by descript-audio-codec, but for its edges."""
    from hear_multiview.frontends import load_frontend
    from hear_multiview.frontends.dac.frontend import CHUNK_FRAMES

    front = load_frontend("demo", Path(folder) / "weights.pth")
    libraries = _peak()

    def repeat() -> dict[str, Any]:
        audio = torch.load(Path(folder) / "audio.pt")
        frames = -(-audio.shape[1] // front.hop)
        latents, start = torch.empty(1, frames, front.dim), 0
        with torch.no_grad():
            for piece, _ in front.stream(audio):
                latents[:, start : start + piece.shape[1]] = piece
                start += piece.shape[1]
        peak = _peak()
        from dac.model import DAC  # needs much memory of its own

        # Around the first place where two long pieces meet, if the clip has one.
        middle = CHUNK_FRAMES if frames > CHUNK_FRAMES else frames // 2
        first, last = max(middle - 100, 0), min(middle + 100, frames)
        model = DAC.load(str(Path(folder) / "weights.pth")).eval()
        with torch.no_grad():
            hop = int(front.hop)
            exact = model.encoder(model.preprocess(audio[:, None, first * hop : last * hop], 44_100)).transpose(1, 2)
        both = slice(EDGE, last - first - EDGE)
        error = (latents[:, first:last][:, both] - exact[:, both]).abs().max() / exact.std()
        return {"bytes": peak, "error": float(error), "result": libraries + audio.nbytes + latents.nbytes}

    return repeat


def _peak() -> int:
    """The most memory this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
