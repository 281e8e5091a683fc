"""Training of the small bundled codec: a plain ``dac.DAC`` on generated soundscapes, with the codec's own losses.

A run is a folder. After every `INTERVAL` steps it holds, complete: ``codec.pth`` (descript-audio-codec's own weight
format), ``demo_codec.safetensors`` (the encoder in half precision, for the bundle), ``history.jsonl`` (a line a
validation) and ``state.pt``, to go on from. Every random draw comes from the seed and the step's number: an interrupted
run goes on to the very same end.

The training has two phases. In the first, the head start, the encoder learns alone, from the read-out of the log-mel
spectrum (see `training.codec.model.Trainee`), at half the cost of a step; in the second the whole codec learns from all
losses, its encoder slowly. The learning rate falls to an eighth in each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from sonyc_tasks.synthesis import synthesize
from training.codec.bundle import seeded_codec, write_codec_bundle
from training.codec.data import describe, draw_crops, load_sounds, through_other_microphones
from training.codec.model import WEIGHTS, Trainee, unit_gain, whiten
from training.engine.history import read_history

#: Soundscapes that are generated where no audio is given. Their seed is none that any other part of the project uses.
SOUNDSCAPES: dict[str, Any] = {"sensors": 60, "clips_per_sensor": 8, "seconds": 10.0, "seed": 1001}
#: Steps of linear warm-up of a phase, and by how many halvings its learning rate falls in all.
WARM_UP, HALVINGS = 50, 3
#: Of the second phase's learning rate, the encoder's share: the decoder starts from nothing, the encoder does not.
SLOWLY = 0.1
#: Gradients longer than this are shortened to it.
LONGEST_GRADIENT = 200.0
#: Crops that show what the training sounds like, for the encoder's first filters and the read-out's scale.
TYPICAL = 512
#: The share of the crops that is decoded from their latents, without quantisation.
DIRECT = 0.5
#: Steps between validations, and the crops of each.
INTERVAL, VALIDATION_CROPS = 100, 32


@dataclass(frozen=True)
class Settings:
    """What the weights depend on."""

    steps: int
    head_start: int
    batch: int
    crop: int
    seed: int
    learning_rate: float
    codec: dict[str, Any]
    data: str


def train_codec(
    out: Path,
    audio: Path | None = None,
    *,
    steps: int = 5600,
    head_start: int = 5000,
    batch: int = 16,
    seconds_per_crop: float = 0.19,
    seed: int = 0,
    device: str = "cpu",
    learning_rate: float = 4e-4,
    codec_arguments: dict[str, Any] | None = None,
) -> Path:
    """Train a codec in the folder ``out`` until it has seen ``steps`` steps; return the encoder bundle written there.

    Args:
        audio: a folder of audio files, of which one in twenty validates; else soundscapes are generated into ``out``.
        batch: crops a step.
        seconds_per_crop: rounded to whole frames.
        steps, head_start: of both phases, and of the first.
        learning_rate: its peak in both phases.
        codec_arguments: of ``dac.DAC``, instead of those in `training.codec.bundle.ARGUMENTS`.

    Raises:
        ValueError: an option out of its range, no usable audio, ``out`` holds another run, or the loss is no number.
    """
    _check(steps, head_start, batch, seconds_per_crop, seed, learning_rate)
    codec = unit_gain(seeded_codec(seed, **(codec_arguments or {})))
    crop = max(round(seconds_per_crop * codec.sample_rate / codec.hop_length), 1) * int(codec.hop_length)
    out.mkdir(parents=True, exist_ok=True)
    if audio is None:
        audio = out / "soundscapes"
        if not audio.exists():
            synthesize(audio, **SOUNDSCAPES)
    sounds = load_sounds(audio, codec.sample_rate, crop)
    data = describe(audio, sounds, codec.sample_rate)
    settings = Settings(steps, head_start, batch, crop, seed, learning_rate, codec_arguments or {}, data)
    _claim(out, settings)

    def drawn(count: int, generator: torch.Generator) -> torch.Tensor:
        crops = draw_crops(sounds.train, count, crop, generator)
        return through_other_microphones(crops, codec.sample_rate, generator)

    typical = drawn(TYPICAL, torch.Generator().manual_seed(seed))
    whiten(codec, typical)
    torch.manual_seed(seed)
    trainee = Trainee(codec, typical).to(device)
    encoder = [*trainee.codec.encoder.parameters(), *trainee.readout.parameters()]
    others = [*trainee.codec.quantizer.parameters(), *trainee.codec.decoder.parameters()]
    optimizer = torch.optim.AdamW([{"params": encoder}, {"params": others}], lr=learning_rate, betas=(0.8, 0.99))
    start, history = _resume(out, trainee, optimizer, device)
    if start >= steps and not all((out / name).exists() for name in ("codec.pth", "demo_codec.safetensors")):
        _save(out, trainee, optimizer, settings, history)
    held_out = draw_crops(sounds.held_out, VALIDATION_CROPS, crop, torch.Generator().manual_seed(seed)).to(device)

    with tqdm(total=steps, initial=start, desc="training the codec", unit="step") as bar:
        for step in range(start, steps):
            first, rate = step < head_start, learning_rate * _schedule(step, head_start, steps)
            for group, share in zip(optimizer.param_groups, (1.0 if first else SLOWLY, 1.0), strict=True):
                group["lr"] = rate * share
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step + 1)
            crops = drawn(batch, generator)
            direct = torch.rand(batch, generator=generator) < DIRECT
            trainee.train()
            terms = trainee(crops.to(device), None if first else direct.to(device))
            total = torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
            if not torch.isfinite(total):
                raise ValueError(
                    f"the loss is not a number in step {step + 1}: lower the learning rate; {out} keeps the state of "
                    f"the last whole {INTERVAL} steps"
                )
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            torch.nn.utils.clip_grad_norm_(trainee.parameters(), LONGEST_GRADIENT)
            optimizer.step()
            bar.update()
            bar.set_postfix({name: f"{value.item():.3f}" for name, value in terms.items()})
            if (step + 1) % INTERVAL == 0 or step + 1 == steps:
                record = {"step": step + 1, **_validate(trainee, held_out)}
                history.append(record)
                _save(out, trainee, optimizer, settings, history)
                bar.write(", ".join(f"{name} {value:.4g}" for name, value in record.items()))
    return out / "demo_codec.safetensors"


def _check(steps: int, head_start: int, batch: int, seconds_per_crop: float, seed: int, learning_rate: float) -> None:
    for name, number, least in (
        ("steps", steps, 1),
        ("head_start", head_start, 0),
        ("batch", batch, 1),
        ("seed", seed, 0),
    ):
        if number < least:
            raise ValueError(f"{name} must be {least} or more, not {number}")
    # The longest window of the losses is 2048 samples, and its padding has to fit into the crop.
    for name, value, low, high in (
        ("seconds_per_crop", seconds_per_crop, 0.1, 10.0),
        ("learning_rate", learning_rate, 1e-7, 0.1),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} must be from {low:g} to {high:g}, not {value:g}")


def _schedule(step: int, head_start: int, steps: int) -> float:
    """The learning rate in ``step``, 1 at its peak: warm-up, then down by `HALVINGS`, once in each phase."""
    start, end = (0, min(head_start, steps)) if step < head_start else (head_start, steps)
    return min((step - start + 1) / WARM_UP, 1.0) * 0.5 ** (HALVINGS * (step - start) / (end - start))


def _claim(out: Path, settings: Settings) -> None:
    """Leave ``settings`` in ``out``, or see that they are those of the run which is there."""
    wanted = json.loads(json.dumps(asdict(settings)))
    path = out / "settings.json"
    if path.exists():
        try:
            found = dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}): restore it, or delete {out}") from error
        if differs := sorted(name for name in wanted if found.get(name) != wanted[name]):
            raise ValueError(
                f"{out} holds a run with another {', '.join(differs)} "
                f"({', '.join(str(found.get(name)) for name in differs)}): choose another folder"
            )
        return
    _replace(path, lambda part: part.write_text(json.dumps(wanted)))


def _restore(out: Path, trainee: Trainee, optimizer: torch.optim.Optimizer, device: str) -> int:
    """Put ``state.pt`` into ``trainee`` and ``optimizer``; the steps it has seen."""
    try:
        state = torch.load(out / "state.pt", map_location=device, weights_only=True)
        trainee.load_state_dict(state["trainee"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["steps"])
    except Exception as error:  # on a file that is not its own, torch's unpickler fails in any way at all
        raise ValueError(f"{out}/state.pt is damaged ({error!r:.120}): restore it, or delete {out}") from error


@torch.no_grad()
def _validate(trainee: Trainee, crops: Tensor) -> dict[str, float]:
    """Mel distance of held-out ``crops`` [crop, 1, sample], decoded from latents and from codes, and the read-out's."""
    trainee.eval()
    latents, codes = (trainee(crops, torch.full((len(crops),), way, device=crops.device)) for way in (True, False))
    found = {"mel_from_latents": latents["mel"], "mel_from_codes": codes["mel"], "readout": latents["readout"]}
    return {name: value.item() for name, value in found.items()}


def _resume(
    out: Path, trainee: Trainee, optimizer: torch.optim.Optimizer, device: str
) -> tuple[int, list[dict[str, Any]]]:
    """Take up the state that ``out`` holds, if any; the steps that were done, and their validations."""
    if not (out / "state.pt").exists():
        return 0, []
    start = _restore(out, trainee, optimizer, device)
    history = [record for record in read_history(out / "history.jsonl") if record["step"] <= start]
    if not (history and history[-1]["step"] == start):
        raise ValueError(f"{out}/history.jsonl ends before step {start} of state.pt: restore it, or delete {out}")
    return start, history


def _save(
    out: Path,
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    settings: Settings,
    history: list[dict[str, Any]],
) -> None:
    """Everything that the run leaves behind; the state comes last, so that what it goes on from is there."""
    steps = history[-1]["step"]
    note = f"trained {steps} steps of {settings.batch} crops on {settings.data}, seed {settings.seed}"
    write_codec_bundle(trainee.codec, out / "demo_codec.safetensors", note)
    _replace(out / "codec.pth", lambda part: trainee.codec.save(str(part), package=False))
    _replace(out / "history.jsonl", lambda part: part.write_text("".join(json.dumps(x) + "\n" for x in history)))
    state = {"trainee": trainee.state_dict(), "optimizer": optimizer.state_dict(), "steps": steps}
    _replace(out / "state.pt", lambda part: torch.save(state, part))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """``path`` as ``write`` leaves it at another name, all at once."""
    part = path.with_name(path.name + ".part")
    write(part)
    os.replace(part, path)
