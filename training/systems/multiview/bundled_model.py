"""The default model of ``load_model()``: a multi-view encoder on the bundled codec, trained on generated sound.

Everything is derived from seeds, so ``python -m training bundle`` reproduces the scores on another machine (but not the
bytes, because floating-point sums differ between processors).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from hear_multiview import checkpoint
from hear_multiview.api import BUNDLED
from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.dac import weights as codec_weights
from sonyc_tasks.dataset.annotations import read_clips
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.files import replacing, write_atomic
from sonyc_tasks.scores.text_tables import markdown_table
from sonyc_tasks.synthesis import synthesize
from training.codec.bundle import seeded_codec, write_codec_bundle
from training.engine.pretrain import pretrain
from training.recipes import recipe_named
from training.reporting.model_card import training_record, versions
from training.systems.multiview.data import extract_sensors

#: Data generated only for pretraining; the demo and the tests use other seeds.
DATA: dict[str, Any] = {"sensors": 40, "clips_per_sensor": 12, "seconds": 10.0, "seed": 2001}
#: There are no probe sensors, because probes need data that the model has not seen.
SPLIT = SensorSplit(tuple(range(35)), tuple(range(35, 40)), (), "the last 5 of 40 generated sensors validate", None)
RECIPE, SEED = "bundled", 0
UNTRAINED = "untrained, its weights drawn from seed 0"


def bundle(work: Path, codec: Path | None = None) -> Path:
    """Train an encoder on a codec's latents, and put both into ``hear_multiview/bundled`` with a model card.

    Args:
        work: folder for generated data, latents and the run; an interrupted call resumes there.
        codec: ``demo_codec.safetensors`` of `training.codec.train.train_codec`; None uses an untrained codec.

    Returns:
        Path of the checkpoint in the package.

    Raises:
        ValueError: ``codec`` is not such a file.
    """
    if codec is not None:
        codec_weights.read_bundle(codec)  # raises on another file before anything is overwritten
        with replacing(codec_weights.BUNDLE) as part:
            shutil.copyfile(codec, part)
    else:
        write_codec_bundle(seeded_codec(), codec_weights.BUNDLE, UNTRAINED)
    data = work / "mini-sonyc"
    if not data.exists():
        synthesize(data, **DATA)
    words = f"generated: a mini-SONYC, {json.dumps(DATA)}"
    front = load_frontend("demo")
    store = extract_sensors(read_clips(data), SPLIT, front, work / f"latents-{front.digest[:8]}", data=words)
    run = pretrain(recipe_named(RECIPE), store, work / f"runs-{front.digest[:8]}", seed=SEED)
    trained = checkpoint.load(run.checkpoint)
    encoder = {name: tensor for name, tensor in trained.tensors.items() if name.startswith("encoder.")}
    checkpoint.save(BUNDLED, encoder, {k: v for k, v in trained.card.items() if k != "format"})
    write_atomic(BUNDLED.parent / "README.md", model_card())
    return BUNDLED


def model_card() -> str:
    """Return the model card of the bundled files, in Markdown."""
    card = checkpoint.load(BUNDLED).card
    contents = {
        codec_weights.BUNDLE: "encoder of a small descript-audio-codec, half precision",
        BUNDLED: "private/shared encoder on its latents",
    }
    rows = [(f"`{path.name}`", what, f"`{codec_weights.sha256(path)}`") for path, what in contents.items()]
    return f"""# The bundled model

`hear_multiview.load_model()` without a path loads these two files, offline.

{markdown_table(("file", "what", "sha256"), rows)}

**What it is not.** It is not the official 44.1 kHz codec (DAC, 8 kbps) and not the paper's encoder, and it is not
trained on real recordings. Its scores are not the paper's.

- Codec: {codec_weights.bundle_note()}. Most of its training fits a linear read-out of the log-mel spectrum to every
  latent frame, so the latents mainly encode a log-mel spectrum. Three choices in that training (the whitened first
  layer, the half-whitened error, the length of the head start) were made while looking at probes of 157 real clips of
  9 SONYC-UST-V2 sensors. Nothing was trained on these clips, but scores on them are optimistic.
- Encoder: {training_record(card)}.
- Made by `python -m training bundle` with {versions(card)}.
- Scores: `docs/results.md` of the repository. Licence: MIT, like the code.
"""
