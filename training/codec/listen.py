"""A page to hear what a codec keeps: each clip, and its reconstructions by the trained and by an untrained codec."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from audiotools import AudioSignal
from audiotools.metrics.distance import SISDRLoss
from dac.model import DAC
from torch import Tensor

from hear_multiview.audio import loudness
from hear_multiview.frontends.dac import weights as codec_weights
from sonyc_tasks.dataset.audio import read_mono
from training.codec.bundle import seeded_codec
from training.codec.model import mel_distance

SECONDS = 4.0


def load_codec(path: Path) -> DAC:
    """A whole codec from a file in descript-audio-codec's own format, as tensors only, in eval mode."""
    weights = codec_weights.read_dac(path, official=False)
    codec = DAC(**weights.arguments)
    codec.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    return codec.eval()


def reconstruct(codec: DAC, audio: Tensor) -> Tensor:
    """``audio`` [sample] through encoder, quantiser and decoder: [sample]."""
    with torch.no_grad():
        out: Tensor = codec(audio[None, None], codec.sample_rate)["audio"]
    return out[0, 0, : len(audio)]


def distances(original: Tensor, copy: Tensor, sample_rate: int) -> tuple[float, float]:
    """Mel distance (descript-audio-codec's, lower is closer) and SI-SDR in dB (higher is closer) of two [sample]."""
    a, b = (AudioSignal(x[None, None], sample_rate) for x in (copy, original))
    return float(mel_distance()(a, b)), -float(SISDRLoss()(b.audio_data, a.audio_data))


def listening_page(files: Sequence[Path], codec: DAC, out: Path) -> dict[str, list[float]]:
    """Write the page to ``out``, whole or not at all, and return the mel distances by codec, a number a file."""
    rate = codec.sample_rate
    codecs = {"trained": codec, "untrained": seeded_codec()}
    found: dict[str, list[float]] = {name: [] for name in codecs}
    rows = []
    for file in files:
        audio = torch.from_numpy(read_mono(file, rate)[: round(SECONDS * rate)])
        audio = audio * loudness.gains(audio[None], rate)[0]
        cells = [f"<td>{_player(audio, rate)}"]
        for name, model in codecs.items():
            copy = reconstruct(model, audio)
            mel, sdr = distances(audio, copy, rate)
            found[name].append(mel)
            cells.append(f"<td>{_player(copy, rate)}<br>mel distance {mel:.2f}, SI-SDR {sdr:+.1f} dB")
        rows.append(f"<tr><th>{html.escape(file.stem)}{''.join(cells)}")
    means = ", ".join(f"{name} {np.mean(values):.2f}" for name, values in found.items())
    page = f"""<!doctype html><html lang=en><meta charset=utf-8><title>What the codec keeps</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem}} td,th{{padding:.5rem;text-align:left}}</style>
<h1>What the codec keeps</h1><p>Left the clip at −24 LUFS; then what each codec makes of it. Mean mel distance: {means}.
<table><thead><tr><th>clip<th>original<th>trained codec<th>untrained codec</thead>{"".join(rows)}</table>"""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    part.write_text(page, encoding="utf-8")
    part.replace(out)
    return found


def _player(audio: Tensor, sample_rate: int) -> str:
    """An audio element that holds the sound itself, as FLAC."""
    file = io.BytesIO()
    soundfile.write(file, audio.clamp(-1, 1).numpy(), sample_rate, format="FLAC", subtype="PCM_16")
    return f'<audio controls src="data:audio/flac;base64,{base64.b64encode(file.getvalue()).decode()}"></audio>'
