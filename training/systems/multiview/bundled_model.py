"""The default of ``load_model()``: a multi-view encoder trained on generated sound, on the bundled codec, and its card.

Everything is made from seeds, so that ``python -m training bundle`` on another machine ends with the same scores (not
the same bytes, because floating-point sums differ between processors).
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

#: Generated for pretraining alone; the demo and the tests use other seeds.
DATA: dict[str, Any] = {"sensors": 40, "clips_per_sensor": 12, "seconds": 10.0, "seed": 2001}
#: It has no probe sensors: probes are for data that this model has not seen.
SPLIT = SensorSplit(tuple(range(35)), tuple(range(35, 40)), (), "the last 5 of 40 generated sensors validate", None)
RECIPE, SEED = "bundled", 0
UNTRAINED = "untrained, its weights drawn from seed 0"


def bundle(work: Path, codec: Path | None = None) -> Path:
    """Put a codec, and an encoder trained on its latents, into ``hear_multiview/bundled``, with a model card.

    Args:
        work: folder for generated data, latents and the run; an interrupted call resumes there.
        codec: ``demo_codec.safetensors`` from `training.codec.train.train_codec`; None makes an untrained one.

    Returns:
        The checkpoint's path in the package.
    """
    if codec is not None:
        codec_weights.read_bundle(codec)  # refuses anything else before something is overwritten
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
    """The card next to the two files, in Markdown."""
    card = checkpoint.load(BUNDLED).card
    contents = {
        codec_weights.BUNDLE: "encoder of a small descript-audio-codec, half precision",
        BUNDLED: "private/shared encoder on its latents",
    }
    rows = [(f"`{path.name}`", what, f"`{codec_weights.sha256(path)}`") for path, what in contents.items()]
    return f"""# The bundled model

`hear_multiview.load_model()` without a path loads these two files, offline.

{markdown_table(("file", "what", "sha256"), rows)}

**What it is not.** It is not the official 44.1 kHz codec (DAC, 8 kbps), not the paper's encoder, and not trained on any
real recording. Its scores are not the paper's.

- Codec: {codec_weights.bundle_note()}. Most of its training asks for a linear read-out of the log-mel spectrum from
  every latent frame, so the latents hold above all a log-mel spectrum. Three choices of that training (the whitened
  first layer, the half-whitened error, the length of the head start) were made while looking at probes of 157 real
  clips of 9 SONYC-UST-V2 sensors: nothing was trained on these clips, but scores on them are optimistic.
- Encoder: {training_record(card)}.
- Made by `python -m training bundle` with {versions(card)}.
- Scores: `docs/results.md` of the repository. Licence: MIT, like the code.
"""
