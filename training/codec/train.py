"""Training of the small bundled codec: a plain ``dac.DAC`` on generated soundscapes, with the codec's own losses.

A run is a folder. After every `INTERVAL` steps, an epoch here, it holds ``codec.pth`` (descript-audio-codec's own
weight format), ``demo_codec.safetensors`` (the encoder in half precision, for the bundle), ``history.jsonl`` and
``state.pt``, to resume from (see `training.engine.loop`). Every random draw comes from the seed and the step's number.

The training has two phases. In the first, the head start, the encoder learns alone, from the read-out of the log-mel
spectrum (see `training.codec.model.CodecWithReadout`), at half the cost of a step; in the second the whole codec learns
from all losses, its encoder slowly. The learning rate falls to an eighth in each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sonyc_tasks.files import held_folder, replacing
from sonyc_tasks.synthesis import synthesize
from training.checks import check_bounds
from training.codec.bundle import seeded_codec, write_codec_bundle
from training.codec.data import Sounds, describe_audio, draw_crops, load_sounds, random_microphone_eq
from training.codec.model import LOSS_WEIGHTS, CodecWithReadout, unit_gain, whiten
from training.distributed import WHOLE, BatchShard
from training.engine.loop import Job, fit
from training.engine.run_folder import RunFolder, check_or_write_manifest

#: Soundscapes that are generated where no audio is given, with a seed that nothing else in the project uses.
SOUNDSCAPES: dict[str, Any] = {"sensors": 60, "clips_per_sensor": 8, "seconds": 10.0, "seed": 1001}
#: Steps of linear warm-up of a phase, and by how many halvings its learning rate falls in all.
WARM_UP, LR_HALVINGS = 50, 3
#: Share of the learning rate that the encoder has in the second phase: the decoder starts from nothing, it does not.
ENCODER_LR_SCALE = 0.1
#: Longer gradients are scaled down to this norm.
MAX_GRAD_NORM = 200.0
#: Crops that show what the training sounds like, for the encoder's first filters and the read-out's scale.
NUM_INIT_CROPS = 512
#: Share of the crops that are decoded from their latents, without quantisation.
P_BYPASS_QUANTIZER = 0.5
#: Steps between validations, and the crops of each.
INTERVAL, VALIDATION_CROPS = 100, 32


@dataclass(frozen=True)
class CodecTrainingConfig:
    """What the weights depend on, besides the audio.

    Attributes:
        steps, head_start: of both phases, and of the first.
        batch: crops a step.
        seconds_per_crop: rounded to whole frames.
        seed: of all draws.
        learning_rate: its peak in both phases.
        codec: arguments of ``dac.DAC``, instead of those in `training.codec.bundle.CODEC_CONFIG`.
    """

    steps: int = 5600
    head_start: int = 5000
    batch: int = 16
    seconds_per_crop: float = 0.19
    seed: int = 0
    learning_rate: float = 4e-4
    codec: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The longest window of the losses is 2048 samples, and its padding has to fit into the crop.
        bounds = (
            ("steps", 1, math.inf),
            ("head_start", 0, math.inf),
            ("batch", 1, math.inf),
            ("seed", 0, math.inf),
            ("seconds_per_crop", 0.1, 10.0),
            ("learning_rate", 1e-7, 0.1),
        )
        check_bounds(self, bounds)


@dataclass(frozen=True)
class _Crops:
    """A batch: audio [crop, 1, sample]; which crops bypass the quantiser, bool [crop], or None in the head start."""

    audio: Tensor
    bypass: Tensor | None
    shard: BatchShard = WHOLE

    def __len__(self) -> int:
        return len(self.audio)


def train_codec(
    out: Path, audio: Path | None = None, config: CodecTrainingConfig | None = None, *, device: str = "cpu"
) -> Path:
    """Train a codec in the folder ``out``; return the encoder bundle written there. A finished run is left alone.

    Args:
        audio: a folder of audio files, of which one in twenty validates; None generates soundscapes into ``out``.

    Raises:
        ValueError: no usable audio, ``out`` holds another run, or the loss is not finite.
    """
    with held_folder(out):
        return _trained(out, audio, config or CodecTrainingConfig(), device)


def _trained(out: Path, audio: Path | None, config: CodecTrainingConfig, device: str) -> Path:
    """`train_codec`, by the only command that writes to ``out``."""
    codec = unit_gain(seeded_codec(config.seed, **config.codec))
    crop = max(round(config.seconds_per_crop * codec.sample_rate / codec.hop_length), 1) * int(codec.hop_length)
    out.mkdir(parents=True, exist_ok=True)
    if audio is None:
        audio = out / "soundscapes"
        if not audio.exists():
            synthesize(audio, **SOUNDSCAPES)
    sounds = load_sounds(audio, codec.sample_rate, crop)
    data = describe_audio(audio, sounds, codec.sample_rate)
    check_or_write_manifest(out / "settings.json", {**asdict(config), "crop": crop, "data": data})
    folder, bundle = RunFolder(out), out / "demo_codec.safetensors"
    epochs = math.ceil(config.steps / INTERVAL)
    written = all((out / name).exists() for name in ("codec.pth", bundle.name))
    if len(folder.history()) == epochs and written and not folder.state_path.exists():
        return bundle
    typical = _draw(sounds, codec.sample_rate, crop, NUM_INIT_CROPS, torch.Generator().manual_seed(config.seed))
    whiten(codec, typical)
    torch.manual_seed(config.seed)
    model = CodecWithReadout(codec, typical).to(device)
    fit(_job(config, model, sounds, crop, out, data), folder)
    return bundle


def _draw(sounds: Sounds, sample_rate: int, crop: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` crops of the training sound through random microphones, [crop, 1, sample]."""
    return random_microphone_eq(draw_crops(sounds.train, count, crop, generator), sample_rate, generator)


def _job(config: CodecTrainingConfig, model: CodecWithReadout, sounds: Sounds, crop: int, out: Path, data: str) -> Job:
    """What `fit` has to know; an epoch is `INTERVAL` steps."""
    codec = model.codec
    device = next(model.parameters()).device
    encoder = [*codec.encoder.parameters(), *model.readout.parameters()]
    others = [*codec.quantizer.parameters(), *codec.decoder.parameters()]
    optimizer = torch.optim.AdamW([{"params": encoder}, {"params": others}], lr=config.learning_rate, betas=(0.8, 0.99))
    generator = torch.Generator().manual_seed(config.seed)
    bundle, weights = out / "demo_codec.safetensors", out / "codec.pth"
    held_out = draw_crops(sounds.held_out, VALIDATION_CROPS, crop, generator).to(device)

    def train(epoch: int, bar: Any) -> Iterator[_Crops]:
        for step in range(epoch * INTERVAL, min((epoch + 1) * INTERVAL, config.steps)):
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step + 1)
            crops = _draw(sounds, codec.sample_rate, crop, config.batch, generator)
            bypass = torch.rand(config.batch, generator=generator) < P_BYPASS_QUANTIZER
            yield _Crops(crops.to(device), None if step < config.head_start else bypass.to(device))
            bar.update()

    def before_step(epoch: int, step: int) -> None:
        step += epoch * INTERVAL
        rate = config.learning_rate * _schedule(step, config.head_start, config.steps)
        encoder_share = 1.0 if step < config.head_start else ENCODER_LR_SCALE
        for group, share in zip(optimizer.param_groups, (encoder_share, 1.0), strict=True):
            group["lr"] = rate * share

    def save(record: dict[str, Any]) -> None:
        steps = min((record["epoch"] + 1) * INTERVAL, config.steps)
        note = f"trained {steps} steps of {config.batch} crops on {data}, seed {config.seed}"
        write_codec_bundle(codec, bundle, note)
        with replacing(weights) as part:
            codec.save(str(part), package=False)

    return Job(
        name="training the codec",
        model=model,
        optimizer=optimizer,
        weights=LOSS_WEIGHTS,
        loss=lambda batch: model(batch.audio, batch.bypass),
        train=train,
        valid=lambda _: _validate(model, held_out),
        outputs=[bundle, weights],
        save=save,
        epochs=math.ceil(config.steps / INTERVAL),
        steps=min(INTERVAL, config.steps),
        max_grad_norm=MAX_GRAD_NORM,
        before_step=before_step,
        keep_best=False,
    )


def _schedule(step: int, head_start: int, steps: int) -> float:
    """The learning rate in ``step``, 1 at its peak: warm-up, then down by `LR_HALVINGS`, once in each phase."""
    start, end = (0, min(head_start, steps)) if step < head_start else (head_start, steps)
    return min((step - start + 1) / WARM_UP, 1.0) * 0.5 ** (LR_HALVINGS * (step - start) / (end - start))


@torch.no_grad()
def _validate(model: CodecWithReadout, crops: Tensor) -> dict[str, float]:
    """Mel distance of held-out ``crops`` [crop, 1, sample], decoded from latents and from codes, and the read-out's."""
    model.eval()
    latents, codes = (model(crops, torch.full((len(crops),), way, device=crops.device)) for way in (True, False))
    found = {"mel_from_latents": latents["mel"], "mel_from_codes": codes["mel"], "readout": latents["readout"]}
    return {name: value.item() for name, value in found.items()}
