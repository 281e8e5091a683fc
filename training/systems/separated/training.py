"""Training of the separator, by mixture-invariant training on mixtures of generated mixtures.

A run is a folder. At its end it holds ``early``, ``middle`` and ``late.safetensors``, the network after a sixteenth, a
quarter and all of its steps, and ``history.jsonl``. Every random draw comes from the seed and the step's number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sonyc_tasks.files import held_folder
from training.checks import check_bounds
from training.distributed import WHOLE, BatchShard
from training.engine.loop import Job, epoch_seed, fit
from training.engine.run_folder import RunFolder, check_or_write_manifest
from training.systems.separated.mixit import mixit, sparsity
from training.systems.separated.mixtures import KINDS, Bank, bank, mixtures_of_mixtures
from training.systems.separated.recipes import STATES as NAMES
from training.systems.separated.separator import SAMPLE_RATE, MaskSeparator, save_separator

#: The states that are kept, by the epoch that they are of. Each has another convergence.
EPOCHS = 16
STATES = dict(zip(NAMES, (EPOCHS // 16, EPOCHS // 4, EPOCHS), strict=True))
#: Steps of linear warm-up; then the learning rate falls along a cosine to this share.
WARM_UP, LEAST_RATE = 30, 0.02
#: Longer gradients are scaled down to this norm.
MAX_GRAD_NORM = 5.0
#: Seeds of the takes that train, that validate and that the states are judged on, and how long a take is.
TRAINED, HELD_OUT, JUDGED, TAKE_SECONDS = 0, 1, 2, 4.0
#: Takes of each kind that validate, and the mixtures of mixtures of them.
HELD_OUT_TAKES, VALIDATION = 4, 32


@dataclass(frozen=True)
class SeparatorConfig:
    """What the weights depend on.

    Attributes:
        steps: of the optimiser, rounded up to a multiple of 16, the number of epochs.
        takes: of each kind of source.
        batch: mixtures of mixtures a step.
        seconds: of each.
        learning_rate: its peak, of AdamW.
        sparsity: weight of the term that keeps a source in one output (see `mixit.sparsity`).
        seed: of all draws.
        network: arguments of `MaskSeparator`.
    """

    steps: int = 2400
    takes: int = 40
    batch: int = 8
    seconds: float = 1.5
    learning_rate: float = 3e-3
    sparsity: float = 1.0
    seed: int = 0
    network: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bounds = (
            ("steps", 1, math.inf),
            ("takes", 1, math.inf),
            ("batch", 1, math.inf),
            ("seconds", 0.25, TAKE_SECONDS),
            ("learning_rate", 1e-7, 0.1),
            ("sparsity", 0, math.inf),
        )
        check_bounds(self, bounds)


@dataclass(frozen=True)
class _Mixtures:
    """A batch: pairs of recordings, [example, 2, sample]."""

    pairs: Tensor
    shard: BatchShard = WHOLE

    def __len__(self) -> int:
        return len(self.pairs)


def train_separator(out: Path, config: SeparatorConfig | None = None, *, device: str = "cpu") -> dict[str, Path]:
    """Train a separator in the folder ``out``; return its states by name. A finished run is left alone.

    Raises:
        ValueError: ``out`` holds another run, its state is damaged, or the loss is not finite.
    """
    with held_folder(out):
        return _trained(out, config or SeparatorConfig(), device)


def _trained(out: Path, config: SeparatorConfig, device: str) -> dict[str, Path]:
    """`train_separator`, by the only command that writes to ``out``."""
    states = {name: out / f"{name}.safetensors" for name in STATES}
    check_or_write_manifest(out / "settings.json", asdict(config))
    folder = RunFolder(out)
    written = all(path.exists() for path in states.values())
    if len(folder.history()) == EPOCHS and written and not folder.state_path.exists():
        return states
    train, held_out = bank(config.takes, TAKE_SECONDS, TRAINED), bank(HELD_OUT_TAKES, TAKE_SECONDS, HELD_OUT)
    with torch.random.fork_rng([]):
        torch.manual_seed(config.seed)
        model = MaskSeparator(**config.network).to(device)
    fit(_job(config, model, train, held_out, states), folder)
    return states


def _job(config: SeparatorConfig, model: MaskSeparator, train: Bank, held_out: Bank, states: dict[str, Path]) -> Job:
    """What `fit` has to know."""
    device = next(model.parameters()).device
    samples, steps = round(config.seconds * SAMPLE_RATE), math.ceil(config.steps / EPOCHS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
    validation = mixtures_of_mixtures(held_out, VALIDATION, samples, torch.Generator().manual_seed(config.seed))

    def loss(pairs: Tensor) -> dict[str, Tensor]:
        pairs = pairs.to(device)
        sources = model(pairs.sum(1))
        return {"mixit": mixit(pairs, sources).mean(), "sparsity": sparsity(sources).mean()}

    def batches(epoch: int, bar: Any) -> Iterator[_Mixtures]:
        generator = torch.Generator().manual_seed(epoch_seed(config.seed, epoch))
        for _ in range(steps):
            yield _Mixtures(mixtures_of_mixtures(train, config.batch, samples, generator))
            bar.update()

    def before_step(epoch: int, step: int) -> None:
        optimizer.param_groups[0]["lr"] = config.learning_rate * _schedule(epoch * steps + step, EPOCHS * steps)

    @torch.no_grad()
    def valid(_: Any) -> dict[str, float]:
        model.eval()
        return {"mixit": sum(loss(x)["mixit"].item() * len(x) for x in validation.split(8)) / len(validation)}

    def save(record: dict[str, Any]) -> None:
        done = record["epoch"] + 1
        for name, path in states.items():
            if done <= STATES[name]:  # a state that is still to come is written, too: what is there is never of later
                about = f"{config.takes} takes of each of {len(KINDS)} generated kinds of sources"
                card = {"state": name, "steps": done * steps, "data": about, "valid": record["valid"]}
                save_separator(path, model, {**card, "config": asdict(config), "torch": version("torch")})

    return Job(
        name="training the separator",
        model=model,
        optimizer=optimizer,
        weights={"mixit": 1.0, "sparsity": config.sparsity},
        loss=lambda batch: loss(batch.pairs),
        train=batches,
        valid=valid,
        outputs=list(states.values()),
        save=save,
        epochs=EPOCHS,
        steps=steps,
        max_grad_norm=MAX_GRAD_NORM,
        before_step=before_step,
        keep_best=False,
    )


def _schedule(step: int, steps: int) -> float:
    """The learning rate in ``step``, 1 at its peak: warm-up, then down along half a cosine."""
    return min((step + 1) / WARM_UP, 1.0) * (LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2)
