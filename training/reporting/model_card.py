"""The card of a published checkpoint, in Markdown: what its own JSON card says, in words."""

from __future__ import annotations

import json
import re
from typing import Any

from hear_multiview import hub
from hear_multiview.checkpoint import Checkpoint
from hear_multiview.frontends.dac import weights as codec_weights

#: How the commands that make sound say so in a card's ``data``.
_GENERATED = re.compile(r"^generated\b|\(generated\)")

_LICENCES = {
    "mit": "MIT, like the code. It was trained on generated sound, which nobody else has rights in.",
    "cc-by-4.0": "CC BY 4.0. The recordings of SONYC-UST-V2 are by Cartwright et al., licence CC BY 4.0 "
    "(https://zenodo.org/records/3966543): name them where you use this model. If the recordings are others, their "
    "licence decides: change this section and the header.",
}


def training_record(card: dict[str, Any]) -> str:
    """Data, recipe, seed and losses of a checkpoint's card, in one line."""
    recipe, best = card["recipe"], card["metrics"]
    losses = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in best["valid"].items())
    return (
        f"{card['data']}; recipe `{recipe['name']}` = `{json.dumps(recipe, sort_keys=True)}`, seed {card['seed']}; "
        f"best epoch {best['epoch'] + 1} of {recipe['epochs']}, with validation losses {losses}"
    )


def versions(card: dict[str, Any]) -> str:
    """The packages that made a checkpoint, in one line."""
    return ", ".join(f"{name} {version}" for name, version in card["versions"].items())


def published_card(checkpoint: Checkpoint, sha256: str, repo: str) -> str:
    """README.md of the model repository ``repo``: the header that the Hub reads, then what the model is and is not.

    Args:
        sha256: of the checkpoint's file.

    Raises:
        KeyError: the checkpoint does not say how it was trained.
    """
    card = checkpoint.card
    licence = "mit" if _GENERATED.search(card["data"]) else "cc-by-4.0"
    split = "; ".join(f"{part} {_numbers(card['split'][part])}" for part in ("train", "valid", "probe"))
    views = ", ".join(f"`{view}`" for view in card["views"])
    halves = (
        "with a private half, meant to hold what is sounding, and a shared half, meant to hold where it was recorded"
        if "private" in card["views"]
        else "with one undivided latent"
    )
    options = json.dumps({"path": f"hf://{repo}"})
    # Of the checkpoint's words only numbers and Markdown: nothing in it can change the header.
    return f"""---
license: {licence}
library_name: hear_multiview
tags:
- audio
- feature-extraction
- self-supervised-learning
- environmental-sound
- hear
---

# {repo}

An encoder for embeddings of urban sound, {halves}.
A HEAR submission. Views: {views}.

With hear_multiview and huggingface_hub installed:

```python
model = hear_multiview.load_model("hf://{repo}")
```

`{hub.FILE}` holds tensors and a JSON card, no code; sha256 `{sha256}`.

## Front end

{_front_end(card["frontend"])}

## What it is not

{_is_not(card["frontend"], licence)}

## Training

- Data: {training_record(card)}.
- Sensors: {split}. The training sees none of those under probe; they are for tasks.
- Made with {versions(card)}.

| loss, mean over pairs | train | validation |
|---|---|---|
{_losses(card["metrics"])}

These are losses. A checkpoint holds no scores on tasks; heareval gives them:

```sh
python -m heareval.embeddings.runner hear_multiview --tasks-dir tasks --model-options '{options}'
```

## Licence

{_LICENCES[licence]}
"""


def _numbers(sensors: list[int]) -> str:
    return ", ".join(map(str, sensors)) or "none"


def _front_end(front: dict[str, Any]) -> str:
    """What frames it encodes, and where their weights come from."""
    size = f"{front['dim']} dimensions, a frame each {front['hop']} samples at {front['sample_rate']} Hz"
    words = (
        f"Frozen, `{front['name']}`: {size}, {front['precision']}; weights with sha256 `{front['sha256']}`. They are "
        "not in this repository: `load_model` finds them as always and refuses any others."
    )
    if front["sha256"] == codec_weights.sha256(codec_weights.BUNDLE):
        words += f" They are the small codec in the package, {codec_weights.bundle_note()}."
    return words


def _is_not(front: dict[str, Any], licence: str) -> str:
    """What a reader could take it for."""
    lines = [
        "Not the model of the authors of arXiv 2510.02500, whose method it follows. Its scores are not the paper's."
    ]
    if front["name"] != "dac_44khz":
        lines.append("Not on the paper's front end, the official 44.1 kHz codec (DAC, 8 kbps).")
    if licence == "mit":
        lines.append("Not trained on any real recording.")
    return "\n".join(f"- {line}" for line in lines)


def _losses(best: dict[str, Any]) -> str:
    names = [*best["train"], *(name for name in best["valid"] if name not in best["train"])]
    cells = [[best[part].get(name) for part in ("train", "valid")] for name in names]
    return "\n".join(
        f"| {name.replace('_', ' ')} | {' | '.join('' if value is None else f'{value:.4f}' for value in row)} |"
        for name, row in zip(names, cells, strict=True)
    )
