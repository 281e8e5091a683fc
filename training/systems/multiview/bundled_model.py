"""The default model of ``load_model()``: halves trained on pairs by design, on log-mel frames of generated sound.

Everything is derived from seeds, so ``python -m training bundle`` reproduces the scores on another machine (but not the
bytes, because floating-point sums differ between processors).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from hear_multiview import checkpoint
from hear_multiview.api import BUNDLED
from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.dac import weights as codec_weights
from sonyc_tasks.files import file_digest, replacing, write_atomic
from sonyc_tasks.scores.text_tables import markdown_table
from training.data.store import LatentStore
from training.engine.pretrain import pretrain
from training.recipes import recipe_named
from training.reporting.model_card import training_record, versions
from training.systems.multiview.dry_scenes import SECONDS, dry_scenes, extract_scenes

#: Scenes generated only for pretraining; the demo, the tests and all probes use other seeds.
SCENES, SCENE_SEED = 4000, 2001
RECIPE, SEED = "bundled", 0
#: The sha256 of a checkpoint, and what was measured of it.
SCORES = Path(__file__).with_name("bundled_scores.md")
FRONTEND = "log_mel"


def bundle(work: Path, codec: Path | None = None) -> Path:
    """Train the model, and put it into ``hear_multiview/bundled`` with a model card.

    Args:
        work: folder for generated scenes, latents and the run; an interrupted call resumes there.
        codec: ``demo_codec.safetensors`` of `training.codec.train.train_codec`, to become the codec in the package,
            which the model does not use; None leaves the codec alone.

    Returns:
        Path of the checkpoint in the package.

    Raises:
        ValueError: ``codec`` is not such a file.
    """
    if codec is not None:
        codec_weights.read_bundle(codec)  # raises on another file before anything is overwritten
        with replacing(codec_weights.BUNDLE) as part:
            shutil.copyfile(codec, part)
    store = designed_store(work)
    run = pretrain(recipe_named(RECIPE), store, work / "runs", seed=SEED)
    trained = checkpoint.load(run.checkpoint)
    encoder = {name: tensor for name, tensor in trained.tensors.items() if name.startswith("encoder.")}
    checkpoint.save(BUNDLED, encoder, {k: v for k, v in trained.card.items() if k != "format"})
    write_atomic(BUNDLED.parent / "README.md", model_card())
    return BUNDLED


def designed_store(work: Path, scenes: int = SCENES) -> LatentStore:
    """Log-mel frames of generated scenes, in ``work``."""
    words = f"generated: {scenes} dry scenes of {SECONDS:g} s, seed {SCENE_SEED}, heard by sensors drawn at random"
    files = dry_scenes(work / "scenes", scenes, SCENE_SEED)
    return extract_scenes(files, load_frontend(FRONTEND), work / "latents", words)


def model_card() -> str:
    """Return the model card of the bundled files, in Markdown."""
    card = checkpoint.load(BUNDLED).card
    contents = {
        BUNDLED: "the model: private/shared encoder on log-mel frames",
        codec_weights.BUNDLE: "encoder of a small descript-audio-codec, half precision: the front end `demo`",
    }
    rows = [(f"`{path.name}`", what, f"`{file_digest(path)}`") for path, what in contents.items()]
    return f"""# The bundled model

`hear_multiview.load_model()` without a path loads the first of these two files, offline.

{markdown_table(("file", "what", "sha256"), rows)}

**What it is not.** It is not the paper's model: that stands on latents of the official 44.1 kHz codec and is trained on
real recordings, which are not at hand here. Its scores are not the paper's.

- How it works: a log-mel spectrogram (16 kHz, 64 bands) is divided into its mean over two seconds and the rest. The
  shared half is made of the mean, the private half of the rest; a scene is described by the mean and the standard
  deviation of both.
- Training: two generated scenes, each heard by the same two sensors drawn at random. The private halves of one scene
  are to be alike, and so are the shared halves of one sensor.
- How it was chosen: on generated clips of `sonyc_tasks.synthesis`, whose sensors are made in another way than those of
  the training (docs/results.md). No real clip was looked at before the choice was made.
- Encoder: {training_record(card)}.
- Codec, which the model does not use: {codec_weights.bundle_note()}. Three choices in its training were made while
  looking at probes of 157 real clips of 9 SONYC-UST-V2 sensors; nothing was trained on these clips.
- Made by `python -m training bundle` with {versions(card)}.
- Licence: MIT, like the code.

## Scores

{_scores()}
"""


def _scores() -> str:
    """What was measured of the bundled model, if it is still the one that was measured."""
    measured, _, text = SCORES.read_text(encoding="utf-8").partition("\n")
    if measured != file_digest(BUNDLED):
        return "None of this file yet: docs/results.md of the repository has the commands."
    return text.strip()
