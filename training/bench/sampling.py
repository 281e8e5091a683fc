"""Benchmark of the sampling system: a training step, all that it takes from files, and the memory of long audio."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from training.bench.interleaved import Repeat, measure_interleaved
from training.bench.peak import peak_flops
from training.bench.row import Row

#: Of the measured clips, in Hz and seconds.
SAMPLE_RATE, SECONDS = 16_000, 3.0


def sampling_rows(clips: int = 256, batch: int = 128, minutes: float = 20.0, repeats: int = 3) -> list[Row]:
    """Measure training the small convolutional encoder, and embedding a long recording with it.

    Args:
        clips: of noise, in files.
        batch: examples in a step.
        minutes: length of the recording.
        repeats: number of measurements; the median is reported.

    Returns:
        Three rows: a step on two crops, as a share of the machine's rate; an example with a shifted view from the
        store, compared with torch's default layout and a DataLoader that decodes, shifts and transforms while it
        trains; and the peak of resident memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        _write_noise(Path(folder), clips)
        one, ours, stock = measure_interleaved(
            [
                (step, {"folder": folder, "batch": batch}),
                (from_store, {"folder": folder, "batch": batch}),
                (from_files, {"folder": folder, "batch": batch}),
            ],
            repeats,
        )
    (long,) = measure_interleaved([(long_recording, {"seconds": 60 * minutes})], 1, warm_up=False)
    rate, ratio = one["flop"] / one["seconds"], stock["seconds"] / ours["seconds"]
    return [
        Row(
            f"step of contrast, {batch} clips, two crops of 96 x 64, CPU",
            "",
            f"{one['seconds']:.2f} s, {rate / 1e9:.0f} GFLOP/s",
            None,
            f"{one['flop'] / one['best']:.2f} s at {one['best'] / 1e9:.0f} GFLOP/s",
            rate / one["best"],
            "at least 50 % of the limit",
            rate >= 0.5 * one["best"],
        ),
        Row(
            "an example with a shifted view, trained on, CPU",
            f"{1000 * stock['seconds']:.1f} ms (DataLoader on files, torch's default layout)",
            f"{1000 * ours['seconds']:.1f} ms",
            ratio,
            "",
            None,
            "at least 3 x",
            ratio >= 3,
        ),
        Row(
            f"memory of embedding {minutes:g} min by log-mel and convolutions, CPU",
            "",
            f"{long['bytes'] / 1e9:.2f} GB",
            None,
            f"{long['result'] / 1e9:.2f} GB (audio and the imported libraries)",
            long["result"] / long["bytes"],
            "at most 1 GB",
            long["bytes"] <= 1e9,
        ),
    ]


def step(folder: str, batch: int) -> Repeat:
    """Prepare measuring one step of the recipe ``sampling_clip`` on the noise in ``folder``.

    Returns:
        A `Repeat` giving the seconds, the FLOP, and the machine's `peak_flops`.
    """
    examples = next(_store_batches(Path(folder), "sampling_clip", batch))
    train, _ = _trainer("sampling_clip")
    with FlopCounterMode(display=False) as counter:
        train(examples.views, examples.renditions)

    def repeat() -> dict[str, Any]:
        start = time.perf_counter()
        train(examples.views, examples.renditions)
        took = time.perf_counter() - start
        return {"seconds": took, "flop": counter.get_total_flops(), **peak_flops(torch.float32)}

    return repeat


def from_store(folder: str, batch: int) -> Repeat:
    """Prepare measuring an epoch of ``sampling_clip_pitch`` as the project trains it.

    Returns:
        A `Repeat` giving the seconds for an example.
    """
    from training.data.prefetch import prefetch

    train, _ = _trainer("sampling_clip_pitch")

    def repeat() -> dict[str, Any]:
        start, seen = time.perf_counter(), 0
        for examples in prefetch(_store_batches(Path(folder), "sampling_clip_pitch", batch)):
            train(examples.views, examples.renditions)
            seen += len(examples)
        return {"seconds": (time.perf_counter() - start) / seen}

    return repeat


def from_files(folder: str, batch: int) -> Repeat:
    """Prepare measuring an epoch of the same model and objectives as a training script usually has it.

    A DataLoader with a worker for each core reads files, shifts by librosa's default and computes log-mel frames; the
    model keeps torch's default memory layout.

    Returns:
        A `Repeat` giving the seconds for an example.
    """
    from sonyc_tasks.processes import cores

    train, model = _trainer("sampling_clip_pitch")
    _use_default_layout(model.encoder)
    files = sorted(Path(folder).glob("*.wav"))
    loader = torch.utils.data.DataLoader(_Shifted(files), batch_size=batch, shuffle=True, num_workers=cores())

    def repeat() -> dict[str, Any]:
        start, seen = time.perf_counter(), 0
        for first, second, third, names in loader:
            original = ("original",) * len(first)
            train((first, second, third), (original, original, tuple(names)))
            seen += len(first)
        return {"seconds": (time.perf_counter() - start) / seen}

    return repeat


def long_recording(seconds: float) -> Repeat:
    """Prepare measuring the memory that embedding a long recording takes, with the untrained encoder.

    Returns:
        A `Repeat` giving the peak of resident memory in bytes, and the part of it ("result") that libraries and audio
        take.
    """
    import hear_multiview
    from hear_multiview.embedder import Embedder
    from hear_multiview.frontends import load_frontend

    _, model = _trainer("sampling_clip")
    embedder = Embedder(load_frontend("log_mel_16k"), model.encoder, "joint")
    libraries = _peak()

    def repeat() -> dict[str, Any]:
        audio = torch.randn(1, int(seconds * SAMPLE_RATE)).mul_(0.1)
        hear_multiview.get_scene_embeddings(audio, embedder)
        return {"bytes": _peak(), "result": libraries + audio.nbytes}

    return repeat


class _Shifted(torch.utils.data.Dataset[Any]):
    """Two crops of a file and the first one shifted, as log-mel frames, with the name of the shift."""

    def __init__(self, files: list[Path]) -> None:
        from hear_multiview.frontends import load_frontend

        self._files, self._front, self._rng = files, load_frontend("log_mel_16k"), np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, str]:
        import librosa
        import soundfile

        from training.systems.sampling.recipes import CROP, SHIFTS

        audio, _ = soundfile.read(self._files[index], dtype="float32")
        samples = CROP * int(self._front.hop)
        crops = [audio[start:][:samples] for start in self._rng.integers(len(audio) - samples, size=2)]
        shift = int(self._rng.choice(SHIFTS))
        crops.append(librosa.effects.pitch_shift(crops[0], sr=SAMPLE_RATE, n_steps=shift))
        with torch.no_grad():
            first, second, third = (next(self._front.stream(torch.from_numpy(crop)[None]))[0][0] for crop in crops)
        return first, second, third, f"pitch({shift})"


def _write_noise(folder: Path, clips: int) -> None:
    """Clips of noise as files, and a latent store of them with every rendition."""
    from hear_multiview.frontends import load_frontend
    from sonyc_tasks.dataset.audio import write_pcm16
    from training.data.records import Clip
    from training.data.unlabelled import extract_clips
    from training.recipes import recipe_named

    rng = np.random.default_rng(0)
    files = {f"{k}.wav": folder / f"{k}.wav" for k in range(clips)}
    for path in files.values():
        write_pcm16(path, rng.normal(0, 0.1, int(SECONDS * SAMPLE_RATE)).astype(np.float32), SAMPLE_RATE)
    recipes = [recipe_named("sampling_clip_pitch")]
    named = [Clip(name, 0) for name in files]
    extract_clips(named, files, recipes, load_frontend("log_mel_16k"), folder / "latents", data="noise")


def _store_batches(folder: Path, recipe: str, batch: int) -> Iterator[Any]:
    from dataclasses import replace

    from training.data.batches import batches, draw_examples
    from training.data.store import LatentStore
    from training.recipes import recipe_named

    chosen = replace(recipe_named(recipe), batch_size=batch, augmentations={})
    store = LatentStore(folder / "latents")
    return batches(store, draw_examples(store, chosen, 0)["train"], chosen, 0)


def _trainer(recipe: str) -> tuple[Any, Any]:
    """A step of training on (views, renditions), and the model."""
    from training.data.batches import Batch
    from training.recipes import recipe_named
    from training.registry import entry
    from training.systems.sampling.methods import SamplingEncoder

    chosen = recipe_named(recipe)
    model = SamplingEncoder(64, **chosen.model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=chosen.learning_rate)

    def train(views: tuple[Tensor, ...], renditions: tuple[tuple[str, ...], ...]) -> None:
        out = model(Batch(views, {}, renditions=renditions))
        loss = sum(weight * entry("objectives", name)(out) for name, weight in chosen.objectives.items())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return train, model


def _use_default_layout(encoder: Any) -> None:
    """Let ``encoder`` compute as torch does without being told of layouts."""
    encoder.net.to(memory_format=torch.contiguous_format)

    def forward(x: Tensor) -> tuple[Tensor]:
        y = encoder.net(encoder.standardise(x)[:, None]).transpose(1, 2)
        return (encoder.output(y.flatten(2)),)

    encoder.forward = forward


def _peak() -> int:
    """The peak of this process's resident memory, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
