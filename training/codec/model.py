"""The codec while it trains: its losses, a faster activation, a better start, and a read-out for the training only."""

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

#: Weights of the terms: descript-audio-codec's own, the read-out like one more scale of the mel distance, and the STFT
#: distance, because mel bands hardly see the mean of the signal: without it the decoder finds that a large one
#: drives its last tanh flat, which quietens noise, and stays there.
WEIGHTS = {"mel": 15.0, "stft": 1.0, "codebook": 1.0, "commitment": 0.25, "readout": 15.0}
#: Mel bands of the read-out.
BANDS = 80
#: Deviation, in log10 of the magnitude, below which a direction of the log-mel space counts as noise.
MIN_STD_LOG10 = 0.02
#: Power, full scale 1, below which whitening raises nothing.
MIN_POWER = 1e-6
#: Floor of every log: magnitudes below it count as silence.
CLAMP_EPS = 1e-5


class CodecWithReadout(nn.Module):
    """The codec, and the linear read-out of its latents, which is thrown away afterwards.

    What is used of the codec are its latents before quantisation, averaged over frames. So each crop can pass the
    quantiser by, for the latents themselves and not just their codes to carry the sound; and the log-mel spectrum has
    to be linear in each frame, a form in which it survives the average.

    Almost all of a log-mel spectrum's variance lies in its coarse shape; what tells one place or microphone from
    another is finer, and a plain error would hardly ask for it. So the error is measured half whitened: a direction
    counts as the inverse square root of its deviation, among frames and among their averages.
    """

    by_frame: Tensor
    by_mean: Tensor

    def __init__(self, codec: DAC, typical: Tensor) -> None:
        """``typical``: crops of the training sound, [crop, 1, sample]."""
        super().__init__()
        with torch.no_grad():
            spectra = log_mel(AudioSignal(typical, codec.sample_rate), int(codec.hop_length))
        self.register_buffer("by_frame", half_whitening(spectra.mT.reshape(-1, BANDS)))
        self.register_buffer("by_mean", half_whitening(spectra.mean(-1)))
        self.codec: DAC = _with_fast_snakes(codec)
        self.readout = nn.Conv1d(codec.latent_dim, BANDS, 1)
        self.mel = mel_distance()
        self.stft = MultiScaleSTFTLoss()

    def forward(self, audio: Tensor, direct: Tensor | None) -> dict[str, Tensor]:
        """The unweighted terms of the loss, by the names in `WEIGHTS`.

        Args:
            audio: whole frames of sound, [crop, 1, sample].
            direct: bool [crop]: decode this crop from its latents, not from their quantised form. None: decode nothing,
                which leaves the read-out alone.
        """
        rate = self.codec.sample_rate
        original = AudioSignal(audio, rate)
        latents = self.codec.encoder(audio)
        error = self.readout(latents) - log_mel(original, int(self.codec.hop_length))
        # The frames' own error, and that of their average, which is what the latents are used for.
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
    """log10 of the mel magnitudes about the centre of each frame of ``hop`` samples: [crop, band, frame]."""
    mel = audio.mel_spectrogram(BANDS, window_length=4 * hop, hop_length=hop, match_stride=True)
    return mel[:, 0].clamp(CLAMP_EPS).log10()


def half_whitening(x: Tensor) -> Tensor:
    """The symmetric [dim, dim] that scales each principal direction of ``x`` [item, dim] by the inverse square root of
    its deviation, all of them by one factor such that the largest keeps its size."""
    x = (x - x.mean(0)).double()
    power, directions = torch.linalg.eigh(x.T @ x / len(x))
    deviation = (power.clamp(0) + MIN_STD_LOG10**2).sqrt()
    return ((directions * (deviation[-1] / deviation).sqrt()) @ directions.T).float()


def mel_distance() -> MelSpectrogramLoss:
    """The log-mel distance of descript-audio-codec's 44.1 kHz configuration: L1, summed over seven scales."""
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
    """``codec`` itself, its filters scaled so that sound keeps about its size on the way through.

    The codec's own start (weights of deviation 0.02, however wide a layer is) suits its full width. At a quarter of it
    the latents start at a thousandth of the input, and a short training would be spent on growing them. Each filter's
    direction is a vector of unit length: AdamW's steps have one size, and would throw shorter ones about.
    """
    with torch.no_grad():
        for part in (codec.encoder, codec.decoder):
            units = [module for module in part.modules() if isinstance(module, ResidualUnit)]
            residual = {id(layer) for unit in units for layer in unit.modules()}  # start small beside their own input
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
        # At −24 LUFS sound has a deviation of 0.05 to 0.1; the activations bend at 1.
        codec.encoder.block[0].weight_g.fill_(10.0)
        codec.decoder.model[-2].weight_g.fill_(0.01)
    return codec


def whiten(codec: DAC, sound: Tensor) -> DAC:
    """``codec`` itself, its first layer's filters such that ``sound`` [crop, 1, sample] leaves it white.

    Street sound falls by some 60 dB from its lowest to its highest frequencies. Behind random filters its upper half is
    a thousandth of each activation, and a short training never gets to hear it.
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
    """The codec's activation x + sin²(αx) / α, forwards and backwards in few passes over memory, which is what it
    takes its time for: a training step on the CPU is two thirds as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor) -> Tensor:
        """x [crop, channel, step], alpha [1, channel, 1]."""
        ctx.save_for_backward(x, alpha)
        return torch.addcmul(x, (alpha + 1e-9).reciprocal(), torch.mul(x, alpha).sin_().square_())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,) = gradients
        x, alpha = ctx.saved_tensors
        phase = torch.mul(x, alpha)
        slope = torch.mul(phase, 2).sin_()  # derivative of sin²
        to_x = torch.addcmul(gradient, gradient, slope)
        # d/dα of sin²(αx) / α  =  (αx sin(2αx) − sin²(αx)) / α²
        to_alpha = slope.mul_(phase).sub_(phase.sin_().square_()).mul_(gradient).sum((0, 2), keepdim=True)
        return to_x, to_alpha * (alpha + 1e-9).reciprocal().square()


class _FastSnake1d(nn.Module):
    """The codec's ``Snake1d`` under the same parameter name, so that the weights stay a plain codec's."""

    def __init__(self, alpha: nn.Parameter) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """x [crop, channel, step]."""
        return FastSnake.apply(x, self.alpha)


def _with_fast_snakes(module: nn.Module) -> Any:
    for name, child in module.named_children():
        if isinstance(child, Snake1d):
            setattr(module, name, _FastSnake1d(child.alpha))
        else:
            _with_fast_snakes(child)
    return module
