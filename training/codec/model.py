"""The codec in training: its losses, a read-out used only for training, its initialisation, and a faster Snake."""

from __future__ import annotations

import math
from typing import Any

import torch
from audiotools import AudioSignal
from audiotools.metrics.spectral import MelSpectrogramLoss, MultiScaleSTFTLoss
from dac.model import DAC
from dac.model.dac import ResidualUnit
from dac.nn.layers import Snake1d
from torch import Tensor, nn

#: Weights of the loss terms. Those of descript-audio-codec are kept; the read-out counts like another scale of the mel
#: distance. The STFT distance is needed because mel bands hardly respond to a constant offset: without it, the decoder
#: learns an offset that saturates its final tanh, which quietens noise, and never recovers.
LOSS_WEIGHTS = {"mel": 15.0, "stft": 1.0, "codebook": 1.0, "commitment": 0.25, "readout": 15.0}
#: Mel bands of the read-out.
N_MELS = 80
#: Standard deviation, in log10 of the magnitude, below which a direction of the log-mel space counts as noise.
MIN_STD_LOG10 = 0.02
#: Power (full scale is 1) added before whitening, so that inaudible directions are not amplified.
MIN_POWER = 1e-6
#: Lower limit of magnitudes before a logarithm.
CLAMP_EPS = 1e-5


class CodecWithReadout(nn.Module):
    """The codec, with a linear read-out of its latents that is discarded after training.

    Downstream, only the latents before quantisation are used, averaged over frames. Therefore a crop may bypass the
    quantiser, so that the latents themselves carry the sound and not just their codes; and the log-mel spectrum must be
    a linear function of each frame, because a linear relation survives averaging.

    Almost all variance of a log-mel spectrum is in its coarse shape, whereas places and microphones differ in finer
    detail, which a plain error would neglect. The error is therefore half whitened (see `half_whitening`), separately
    for frames and for their averages.
    """

    by_frame: Tensor
    by_mean: Tensor

    def __init__(self, codec: DAC, typical: Tensor) -> None:
        """Wrap a codec.

        Args:
            codec: the codec to train; its Snake activations are replaced by `FastSnake`.
            typical: crops of the training audio, [crop, 1, sample], which determine the whitening.
        """
        super().__init__()
        with torch.no_grad():
            spectra = log_mel(AudioSignal(typical, codec.sample_rate), int(codec.hop_length))
        self.register_buffer("by_frame", half_whitening(spectra.mT.reshape(-1, N_MELS)))
        self.register_buffer("by_mean", half_whitening(spectra.mean(-1)))
        self.codec: DAC = _with_fast_snakes(codec)
        self.readout = nn.Conv1d(codec.latent_dim, N_MELS, 1)
        self.mel = mel_distance()
        self.stft = MultiScaleSTFTLoss()

    def forward(self, audio: Tensor, direct: Tensor | None) -> dict[str, Tensor]:
        """Compute the loss terms.

        Args:
            audio: crops of whole frames, [crop, 1, sample].
            direct: bool [crop], whether to decode a crop from its latents, bypassing the quantiser. None skips
                decoding; only the read-out's error is then computed.

        Returns:
            Unweighted scalars, by the names in `LOSS_WEIGHTS`.
        """
        rate = self.codec.sample_rate
        original = AudioSignal(audio, rate)
        latents = self.codec.encoder(audio)
        error = self.readout(latents) - log_mel(original, int(self.codec.hop_length))
        # The error of each frame, and that of the average over frames, which is how the latents are used.
        readout = (self.by_frame @ error).abs().mean() + (error.mean(-1) @ self.by_mean).abs().mean()
        if direct is None:
            return {"readout": readout}
        quantised, _, _, commitment, codebook = self.codec.quantizer(latents)
        decoded = self.codec.decoder(torch.where(direct[:, None, None], latents, quantised))
        copy = AudioSignal(decoded, rate)
        return {
            "mel": self.mel(copy, original),
            "stft": self.stft(copy, original),
            "codebook": codebook,
            "commitment": commitment,
            "readout": readout,
        }


def log_mel(audio: AudioSignal, hop: int) -> Tensor:
    """Compute log10 mel magnitudes around the centre of each frame.

    Args:
        audio: signal of shape [crop, 1, sample].
        hop: samples per frame; the window is four frames long.

    Returns:
        [crop, band, frame].
    """
    mel = audio.mel_spectrogram(N_MELS, window_length=4 * hop, hop_length=hop, match_stride=True)
    return mel[:, 0].clamp(CLAMP_EPS).log10()


def half_whitening(x: Tensor) -> Tensor:
    """Compute a matrix that scales each principal direction by the inverse square root of its standard deviation.

    Full whitening would scale by the inverse standard deviation itself. A common factor leaves the direction of largest
    variance unchanged.

    Args:
        x: data, [item, dim].

    Returns:
        Symmetric float32 [dim, dim].
    """
    x = (x - x.mean(0)).double()
    power, directions = torch.linalg.eigh(x.T @ x / len(x))
    deviation = (power.clamp(0) + MIN_STD_LOG10**2).sqrt()
    return ((directions * (deviation[-1] / deviation).sqrt()) @ directions.T).float()


def mel_distance() -> MelSpectrogramLoss:
    """Build the mel loss of descript-audio-codec's 44.1 kHz configuration: L1 of log magnitudes over seven scales."""
    bands = [5, 10, 20, 40, 80, 160, 320]
    return MelSpectrogramLoss(
        n_mels=bands,
        window_lengths=[32, 64, 128, 256, 512, 1024, 2048],
        mel_fmin=[0.0] * len(bands),
        mel_fmax=[None] * len(bands),
        clamp_eps=CLAMP_EPS,
        mag_weight=0.0,
        pow=1.0,
    )


def unit_gain(codec: DAC) -> DAC:
    """Rescale the codec's filters, in place, so that the signal level stays about the same through its layers.

    The original initialisation (standard deviation 0.02 for every layer) suits the full-size codec. At a quarter of its
    width, the latents would start at a thousandth of the input, and a short training would be spent on growing them.
    Filter directions get unit length, because AdamW's steps have a fixed size and would change shorter ones too much.

    Returns:
        ``codec`` itself.
    """
    with torch.no_grad():
        for part in (codec.encoder, codec.decoder):
            units = [module for module in part.modules() if isinstance(module, ResidualUnit)]
            # Layers of residual units keep their small gain, next to their skip connection.
            residual = {id(layer) for unit in units for layer in unit.modules()}
            for layer in part.modules():
                if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
                    direction = layer.get_parameter("weight_v")
                    direction.div_(direction.norm(dim=(1, 2), keepdim=True))
                if id(layer) in residual:
                    continue
                # weight_g is the norm of each filter; a transposed convolution's is that of each input channel.
                if isinstance(layer, nn.ConvTranspose1d):
                    nn.init.constant_(layer.get_parameter("weight_g"), math.sqrt(layer.stride[0] / 2))
                elif isinstance(layer, nn.Conv1d):
                    nn.init.constant_(layer.get_parameter("weight_g"), 1.0)
        # At −24 LUFS, audio has a standard deviation of 0.05 to 0.1; the activations become nonlinear around 1.
        codec.encoder.block[0].weight_g.fill_(10.0)
        codec.decoder.model[-2].weight_g.fill_(0.01)
    return codec


def whiten(codec: DAC, sound: Tensor) -> DAC:
    """Set the codec's first layer, in place, to random filters whose response to ``sound`` is white.

    The spectrum of street sound falls by about 60 dB from low to high frequencies. After unwhitened random filters, its
    upper half would be a thousandth of each activation, too little to be learned in a short training.

    Args:
        codec: codec whose first layer is replaced.
        sound: crops of the training audio, [crop, 1, sample].

    Returns:
        ``codec`` itself.
    """
    first = codec.encoder.block[0]
    patches = sound.unfold(-1, first.kernel_size[0], 1).reshape(-1, first.kernel_size[0])
    power, directions = torch.linalg.eigh((patches.T @ patches / len(patches)).double())
    mix = torch.randn(first.out_channels, len(power), generator=torch.Generator().manual_seed(0)) / len(power) ** 0.5
    filters = mix @ (directions * (power.clamp(0) + MIN_POWER).rsqrt()).T.float()
    norm = filters.norm(dim=1)
    with torch.no_grad():
        first.weight_g.copy_(norm[:, None, None])
        first.weight_v.copy_((filters / norm[:, None])[:, None])
    return codec


class FastSnake(torch.autograd.Function):
    """The Snake activation x + sin²(αx) / α (Ziyin et al. 2020), in few passes over memory.

    Memory traffic dominates its cost: on a CPU, a training step takes two thirds of the time of the stock version.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor) -> Tensor:
        """Apply to x [crop, channel, step], with alpha [1, channel, 1]."""
        ctx.save_for_backward(x, alpha)
        return torch.addcmul(x, (alpha + 1e-9).reciprocal(), torch.mul(x, alpha).sin_().square_())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients with respect to x and alpha."""
        (gradient,) = gradients
        x, alpha = ctx.saved_tensors
        phase = torch.mul(x, alpha)
        slope = torch.mul(phase, 2).sin_()  # derivative of sin²
        to_x = torch.addcmul(gradient, gradient, slope)
        # d/dα of sin²(αx) / α  =  (αx sin(2αx) − sin²(αx)) / α²
        to_alpha = slope.mul_(phase).sub_(phase.sin_().square_()).mul_(gradient).sum((0, 2), keepdim=True)
        return to_x, to_alpha * (alpha + 1e-9).reciprocal().square()


class _FastSnake1d(nn.Module):
    """A replacement of ``Snake1d`` with the same parameter name, so that a stock codec can load the weights."""

    def __init__(self, alpha: nn.Parameter) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Apply to x [crop, channel, step]."""
        return FastSnake.apply(x, self.alpha)


def _with_fast_snakes(module: nn.Module) -> Any:
    for name, child in module.named_children():
        if isinstance(child, Snake1d):
            setattr(module, name, _FastSnake1d(child.alpha))
        else:
            _with_fast_snakes(child)
    return module
