"""What each dimension of a latent does: one sound's latent with that dimension moved, decoded, drawn and heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import griffinlim

from hear_multiview import checkpoint
from hear_multiview.frontends import log_mel
from hear_multiview.frontends.log_mel import LogMel
from training.systems.music.methods import MultiViewVAE

#: Where a dimension is moved to, in deviations of the prior, in order.
STEPS = np.linspace(-2.0, 2.0, 9)
#: Seconds of sound a step; iterations of Griffin and Lim's algorithm.
SECONDS, ITERATIONS = 0.4, 32


def load_vae(path: Path) -> MultiViewVAE:
    """The whole model of a run, decoder included, from its checkpoint; in eval mode.

    Raises:
        ValueError: the checkpoint is of another method.
    """
    saved = checkpoint.load(path)
    recipe, size = saved.card["recipe"], saved.card["encoder"]
    if recipe["method"] != "multiview_vae":
        raise ValueError(
            f"checkpoint {path} (recipe {recipe['name']}) has no variational decoder; give one of a music run"
        )
    model = MultiViewVAE(size["dim"], size["width"], size["depth"], size["latent"])
    model.load_state_dict(saved.tensors)
    return model.eval()


def traverse(model: MultiViewVAE, frames: Tensor, dimension: int) -> Tensor:
    """Log-mel frames [step, band] of the mean latent of ``frames`` [frame, band], with ``dimension`` of z_p ⊕ z_s set
    to each of `STEPS`."""
    with torch.no_grad():
        z = torch.cat(model.encoder(frames), dim=-1).mean(0).repeat(len(STEPS), 1)
        z[:, dimension] = torch.from_numpy(STEPS).float()
        decoded: Tensor = model.decoder(z) * model.encoder.scale + model.encoder.mean
    return decoded


def render(frames: Tensor, front: LogMel) -> Tensor:
    """Sound [sample] whose log-mel spectrum is that of ``frames`` [step, band], `SECONDS` each, one after the other.

    Bands become bins by the pseudo-inverse of the filter bank, cut at 0; phases are Griffin and Lim's. Frequencies are
    as coarse as the bands are.
    """
    hop = log_mel.N_FFT // 4  # a quarter of a window, as Griffin and Lim's algorithm needs it
    power = (frames.exp() - log_mel.LOG_EPS).clamp(min=0) @ torch.linalg.pinv(front.filterbank)
    magnitude = power.clamp(min=0).sqrt().repeat_interleave(round(SECONDS * log_mel.SAMPLE_RATE / hop), dim=0)
    return griffinlim(
        magnitude.T,
        window=front.window,
        n_fft=log_mel.N_FFT,
        hop_length=hop,
        win_length=log_mel.N_FFT,
        power=1.0,
        n_iter=ITERATIONS,
        momentum=0.99,
        length=None,
        rand_init=False,
    )
