"""A listening page: each clip, with its reconstructions by the trained codec and by an untrained one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from audiotools import AudioSignal
from audiotools.metrics.distance import SISDRLoss
from dac.model import DAC
from torch import Tensor

from hear_multiview.audio import loudness
from hear_multiview.frontends.dac import weights as codec_weights
from sonyc_tasks.dataset.audio import read_mono
from sonyc_tasks.files import write_atomic
from sonyc_tasks.page import render
from sonyc_tasks.page.sound import encode
from training.codec.bundle import seeded_codec
from training.codec.model import mel_distance

#: Duration of each example on the page.
SECONDS = 4.0


def load_codec(path: Path) -> DAC:
    """Load a codec, decoder included, from a file in descript-audio-codec's format.

    The file is read without unpickling arbitrary objects.

    Args:
        path: the weight file.

    Returns:
        The codec in eval mode.
    """
    weights = codec_weights.read_dac(path, official=False)
    codec = DAC(**weights.arguments)
    codec.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    return codec.eval()


def reconstruct(codec: DAC, audio: Tensor) -> Tensor:
    """Pass audio through encoder, quantiser and decoder.

    Args:
        codec: the codec.
        audio: [sample], at the codec's sample rate.

    Returns:
        The reconstruction, [sample], as long as ``audio``.
    """
    with torch.no_grad():
        out: Tensor = codec(audio[None, None], codec.sample_rate)["audio"]
    return out[0, 0, : len(audio)]


def distances(original: Tensor, copy: Tensor, sample_rate: int) -> tuple[float, float]:
    """Compare a reconstruction with its original.

    Args:
        original: [sample].
        copy: the reconstruction, [sample].
        sample_rate: in Hz.

    Returns:
        descript-audio-codec's mel distance (lower is better) and SI-SDR in dB (Le Roux et al. 2019; higher is better).
    """
    a, b = (AudioSignal(x[None, None], sample_rate) for x in (copy, original))
    return float(mel_distance()(a, b)), -float(SISDRLoss()(b.audio_data, a.audio_data))


def listening_page(files: Sequence[Path], codec: DAC, out: Path) -> dict[str, list[float]]:
    """Write a listening page, whole or not at all.

    Args:
        files: audio files, one per row of the page.
        codec: the trained codec.
        out: HTML file to write.

    Returns:
        The mel distance of each file, by codec: "trained" and "untrained".
    """
    rate = codec.sample_rate
    codecs = {"trained": codec, "untrained": seeded_codec()}
    found: dict[str, list[float]] = {name: [] for name in codecs}
    clips = []
    for file in files:
        audio = torch.from_numpy(read_mono(file, rate)[: round(SECONDS * rate)])
        audio = audio * loudness.gains(audio[None], rate)[0]
        copies = []
        for name, model in codecs.items():
            copy = reconstruct(model, audio)
            mel, si_sdr = distances(audio, copy, rate)
            found[name].append(mel)
            copies.append({"sound": encode(copy.numpy(), rate, lossless=True), "mel": mel, "si_sdr": si_sdr})
        clips.append((file.stem, encode(audio.numpy(), rate, lossless=True), copies))
    means = ", ".join(f"{name} {np.mean(values):.2f}" for name, values in found.items())
    about = [f"Each clip at −24 LUFS, and its reconstruction by each codec. Mean mel distance: {means}."]
    template = Path(__file__).with_name("listen.html.j2")
    write_atomic(out, render(template, title="Codec reconstructions", about=about, codecs=list(codecs), clips=clips))
    return found
