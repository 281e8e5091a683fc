"""Latent traversals: move one dimension of a sound's latent and decode it, to see and hear what it controls."""

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

#: Values that a dimension is set to, in standard deviations of the prior.
STEPS = np.linspace(-2.0, 2.0, 9)
#: Seconds of sound per step; iterations of the Griffin-Lim algorithm.
SECONDS, ITERATIONS = 0.4, 32


def load_vae(path: Path) -> MultiViewVAE:
    """Load the whole model of a run, decoder included.

    Args:
        path: checkpoint of the run.

    Returns:
        The model in eval mode.

    Raises:
        ValueError: the checkpoint was trained with another method.
    """
    saved = checkpoint.load(path)
    recipe, size = saved.card["recipe"], saved.card["encoder"]
    if recipe["method"] != "multiview_vae":
        raise ValueError(
            f"checkpoint {path} (recipe {recipe['name']}) has no variational decoder; choose one of a music run"
        )
    model = MultiViewVAE(size["dim"], size["width"], size["depth"], size["latent"])
    model.load_state_dict(saved.tensors)
    return model.eval()


def traverse(model: MultiViewVAE, frames: Tensor, dimension: int) -> Tensor:
    """Decode the mean latent of a sound with one dimension set to each of `STEPS`.

    Args:
        model: the model.
        frames: log-mel frames of the sound, [frame, band].
        dimension: index in z_p ⊕ z_s.

    Returns:
        Log-mel frames, [step, band].
    """
    with torch.no_grad():
        z = torch.cat(model.encoder(frames), dim=-1).mean(0).repeat(len(STEPS), 1)
        z[:, dimension] = torch.from_numpy(STEPS).float()
        decoded: Tensor = model.decoder(z) * model.encoder.scale + model.encoder.mean
    return decoded


def render(frames: Tensor, front: LogMel) -> Tensor:
    """Synthesise audio from log-mel frames with the Griffin-Lim algorithm (Griffin and Lim 1984).

    The power spectrum is the pseudo-inverse of the filterbank applied to the bands, clipped at 0, so its frequency
    resolution is that of the bands.

    Args:
        frames: log-mel frames, [step, band], each lasting `SECONDS`.
        front: the front end that defines the filterbank.

    Returns:
        [sample], at the front end's sample rate.
    """
    hop = log_mel.N_FFT // 4  # a quarter of a window, for Griffin-Lim to converge
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
