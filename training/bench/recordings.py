"""Benchmark of embedding recordings, files in and rows out, beside a plain script of librosa and the stock codec."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from training.bench.encoder import prepare
from training.bench.interleaved import Repeat, measure_interleaved
from training.bench.row import Row

#: Rate of the recordings in Hz, which has to be converted.
SOURCE_RATE = 48_000


def recordings_rows(
    size: dict[str, Any] | None = None, clips: int = 20, clip: float = 10.0, repeats: int = 3
) -> list[Row]:
    """Measure ``hear_multiview.embed`` on stereo WAV files.

    Args:
        size: arguments of ``dac.DAC``; None is the size of the bundled codec.
        clips: number of recordings.
        clip: length of a recording in seconds.
        repeats: number of measurements; the median is reported.

    Returns:
        One row. Its limit is the codec alone, with the audio ready in memory.
    """
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), size or {}, clip)
        write_recordings(Path(name) / "audio", clips, clip)
        common = {"folder": name}
        plain, found, parts = measure_interleaved([(stock, common), (ours, common), (shares, common)], repeats)
        expected, rows = (np.load(Path(name) / f"{kind}.npy") for kind in ("stock", "ours"))
    error = float(np.abs(rows - expected).max() / expected.std())
    work = sum(parts.values())
    shown = ", ".join(f"{kind} {100 * seconds / work:.0f} %" for kind, seconds in parts.items())
    ratio = plain["seconds"] / found["seconds"]
    return [
        Row(
            f"{clips} recordings of {clip:g} s at {SOURCE_RATE / 1000:g} kHz, CPU, fp32",
            f"{plain['seconds']:.1f} s (librosa.load, then the codec)",
            f"{found['seconds']:.1f} s ({shown}), largest error / standard deviation {error:.1e}",
            ratio,
            f"{parts['codec']:.1f} s (the codec alone)",
            parts["codec"] / found["seconds"],
            "at least 3 x, error at most 0.001",
            ratio >= 3 and error <= 1e-3,
        )
    ]


def write_recordings(folder: Path, clips: int, clip: float) -> None:
    """Write ``clips`` 16-bit stereo WAV files of ``clip`` seconds of noise, at different levels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(clips):
        noise = rng.normal(0, 10 ** rng.uniform(-3, -1), (round(clip * SOURCE_RATE), 2))
        soundfile.write(folder / f"{index:04}.wav", noise, SOURCE_RATE, subtype="PCM_16")


def stock(folder: str) -> Repeat:
    """Prepare measuring what a user of the two libraries writes: load, preprocess, encode, mean over frames.

    Loudness is that of descript-audio-codec's own command, measured by audiotools, so that the rows can be compared.

    Args:
        folder: weights from `prepare`, and recordings in ``audio``.

    Returns:
        A `Repeat` giving the seconds; the rows are written to ``stock.npy``, [clip, dim].
    """
    import librosa
    from audiotools import AudioSignal
    from dac.model import DAC

    from hear_multiview.audio.loudness import TARGET

    model = DAC.load(str(Path(folder) / "weights.pth")).eval()
    files = sorted((Path(folder) / "audio").iterdir())

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        rows = []
        with torch.no_grad():
            for file in files:
                audio, _ = librosa.load(file, sr=model.sample_rate)
                signal = AudioSignal(audio, model.sample_rate).normalize(TARGET).ensure_max_of_audio()
                latents = model.encoder(model.preprocess(signal.audio_data, model.sample_rate))
                rows.append(latents[0, :, : round(len(audio) / model.hop_length)].mean(dim=1))
        took = time.perf_counter() - start
        np.save(Path(folder) / "stock.npy", torch.stack(rows).numpy())
        return {"seconds": took}

    return repeat


def ours(folder: str) -> Repeat:
    """Prepare measuring `hear_multiview.embed` on the same files and weights.

    Args:
        folder: weights from `prepare`, and recordings in ``audio``.

    Returns:
        A `Repeat` giving the seconds; the rows are written to ``ours.npy``, [clip, dim].
    """
    import hear_multiview
    from hear_multiview.embedder import Embedder
    from hear_multiview.frontends import load_frontend

    model = Embedder(load_frontend("demo", Path(folder) / "weights.pth"), None, "frontend")

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        rows = [rows.embeddings for rows in hear_multiview.embed(Path(folder) / "audio", model)]
        took = time.perf_counter() - start
        np.save(Path(folder) / "ours.npy", np.concatenate(rows))
        return {"seconds": took}

    return repeat


def shares(folder: str) -> Repeat:
    """Prepare measuring the parts of the work one after the other, on the same files and weights.

    Args:
        folder: weights from `prepare`, and recordings in ``audio``.

    Returns:
        A `Repeat` giving the seconds of each part: decoding (and the checksum), resampling, loudness, codec.
    """
    from hear_multiview.audio import loudness
    from hear_multiview.embedder import Embedder
    from hear_multiview.frontends import load_frontend
    from sonyc_tasks.dataset.audio import open_mono
    from sonyc_tasks.files import file_digest

    model = Embedder(load_frontend("demo", Path(folder) / "weights.pth"), None, "frontend")
    files = sorted((Path(folder) / "audio").iterdir())

    def repeat() -> dict[str, Any]:
        took = dict.fromkeys(("decoding", "resampling", "loudness", "codec"), 0.0)

        @contextmanager
        def timed(part: str) -> Iterator[None]:
            start = time.perf_counter()
            yield
            took[part] += time.perf_counter() - start

        with torch.no_grad():
            for file in files:
                with timed("decoding"):
                    file_digest(file)
                    opened = open_mono(file, model.sample_rate)
                with timed("resampling"):
                    audio = torch.from_numpy(np.concatenate(list(opened.blocks())))[None]
                with timed("loudness"):
                    loudness.gains(audio, model.sample_rate)
                with timed("codec"):
                    model.scene(audio)
        took["codec"] -= took["loudness"]  # which the front end measures too
        return took

    return repeat
