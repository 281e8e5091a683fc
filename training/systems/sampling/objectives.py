"""The three terms of L = L_clip + α L_frame + β L_pitch (Kuroyanagi & Komatsu 2022, arXiv 2505.18984).

Equations are those of the authors' released code, but where a docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from training.systems.sampling.methods import SamplingOutput


def clip_contrast(out: SamplingOutput) -> Tensor:
    """L_clip = −E_i log( exp s(z_1^i, z_2^i) / Σ_j exp s(z_1^i, z_2^j) ), over the examples j of the batch.

    z_1 and z_2 [example, dim] are of two crops of one clip. s is bilinear as in the source (and in COLA, arXiv
    2010.10915; without W this is the multi-class N-pair loss of Sohn 2016), or a cosine over τ, which makes it InfoNCE.
    Only one direction, from the first crop to the second.
    """
    z_1, z_2 = (out.shard.all_gather(z) for z in out.clip)
    logits = out.clip_similarity(z_1, z_2)
    return cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def frame_contrast(out: SamplingOutput) -> Tensor:
    """L_frame = −E_{i, t, s ∈ P_t} log( exp s(a_t^i, b_s^i) / Σ_{u ∈ C_t} exp s(a_t^i, b_u^i) ), within each segment i.

    a and b are [segment, frame, dim]. P_t are the frames that are right for frame t, and C_t those it is compared with.
    In the source a = b, P_t = {t} and C_t is all frames, so that a frame is its own positive; `SamplingEncoder` has
    others. With several positives the mean is over all of them, as in Khosla et al. 2020 (Eq. 2). 0 where no frame has
    a positive.
    """
    logits = out.frame_similarity(*out.frame)  # [segment, frame, frame]
    log_p = logits.masked_fill(~out.candidate, torch.finfo(logits.dtype).min).log_softmax(dim=-1)
    return -log_p[:, out.positive].sum() / max(1, len(logits) * int(out.positive.sum()))


def pitch_regression(out: SamplingOutput) -> Tensor:
    """L_pitch = E_{i, t} (p(h_3,t^i) − p(h_1,t^i) − f^i)², of an estimate for each frame and the shift of its example.

    The estimate is [example, frame] and f [example], in units of the largest shift. An estimate of 0 everywhere gives
    E f², which is 0.56 for shifts of ±1 and ±3 semitones. In the source f is a ratio less 1, of at most 0.2 to either
    side: there that is 0.013, so the weight of 0.01 makes the term vanish.

    Raises:
        ValueError: the batch had no shifted view.
    """
    if out.shift_hat is None or out.shift is None:
        raise ValueError("objective pitch_regression needs a shifted view; choose views 'crops_and_shifted'")
    return mse_loss(out.shift_hat, out.shift[:, None].expand_as(out.shift_hat))


OBJECTIVES: dict[str, Callable[[Any], Tensor]] = {
    "clip_contrast": clip_contrast,
    "frame_contrast": frame_contrast,
    "pitch_regression": pitch_regression,
}
