"""A sensor that is drawn at random: how dry sound becomes a recording, in log-mel frames.

All of it acts on power, band by band: reverberation smears it over time, the microphone scales it, and the noise of the
place and of the electronics is added. So a scene can be heard by any number of sensors, which differ far more than
those of `sonyc_tasks.synthesis` do, on which models are validated.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hear_multiview.frontends.log_mel import HOP_LENGTH, LOG_EPS, SAMPLE_RATE
from training.data.augmentations import Augmentation, Draws, smooth

DB = math.log(10) / 10  # nepers of power
#: Power of the loudest moments of a dry scene, all bands together: 20 dB below full scale.
LOUDEST = -20 * DB
#: Ranges of what is drawn evenly.
SCENE = (-12.0, 0.0)  # dB, the level of all sources, since they are near or far
PLACE = (-17.0, 13.0)  # dB over `LOUDEST`, the background of a place
FLOOR = (-72.0, -44.0)  # dB over full scale, the electronics
SLOPE = (0.0, 9.0)  # dB per octave by which a background falls
WET = (-25.0, 2.0)  # dB, reverberation over direct sound
DECAY = (0.1, 1.6)  # seconds for 60 dB, evenly on a logarithmic scale
SWELL = (0.3, 2.5)  # dB, slow variation of a background
ROLL_OFF = (0.0, 3.0)  # dB per band, at either end of the spectrum
#: Standard deviations in dB: of a microphone's gain, of a place's spectrum and of the floor's at their knots, and of
#: how loud and how steep the background is from clip to clip.
GAIN_STD, PLACE_STD, FLOOR_STD, MOOD_STD, TILT_STD = 4.0, 5.0, 4.0, 2.0, 3.0
_PLACE_KNOTS, _FLOOR_KNOTS, _HUMS = 12, 6, 2


def sensor(frames: Tensor, strength: float, draws: Draws) -> Tensor:
    """Dry log-mel ``frames`` [frame, band] as a sensor hears them.

    Place, microphone and electronics are the sensor's own draws; the levels of the scene and of the background, and all
    noise, are the view's.

    Args:
        strength: standard deviation in dB of the microphone's response at its knots.
    """
    count, bands = frames.shape
    own, of_sensor = draws
    response, place, floor = _device(strength, bands, of_sensor)
    level, decay, wet, swell = (_uniform(r, of_sensor) for r in (PLACE, _logarithms(DECAY), WET, SWELL))
    power = _reverberated((frames.exp() - LOG_EPS).clamp(min=1e-20), math.exp(decay), 10 ** (wet / 10))
    scene = power.log() + response + DB * _uniform(SCENE, own)
    # About 12 frames, 0.4 s, from one knot of the slow variation to the next.
    knots = torch.randn(1, 1, max(2, count // 12), generator=own)
    slow = swell * interpolate(knots, count, mode="linear", align_corners=True)[0, 0, :, None]
    mood = MOOD_STD * torch.randn((), generator=own) + _tilt(bands) * TILT_STD * torch.randn((), generator=own)
    background = LOUDEST + place + DB * (level + mood + slow)
    noises = torch.logaddexp(background + _fluctuation(count, bands, own), floor + _fluctuation(count, bands, own))
    return torch.logaddexp(torch.logaddexp(scene, noises), torch.tensor(math.log(LOG_EPS)))


def _device(strength: float, bands: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A microphone's response, a place's background through it, and a noise floor, [band] each in nepers of power.

    The last two are of unit power before the microphone.
    """
    band = torch.arange(float(bands))
    low, high = _uniform((-0.15, 0.22), generator) * bands, _uniform((0.63, 1.4), generator) * bands
    response = smooth(strength, bands, generator) + GAIN_STD * torch.randn((), generator=generator)
    response = response - _uniform(ROLL_OFF, generator) * (low - band).clamp(min=0)
    response = response - _uniform(ROLL_OFF, generator) * (band - high).clamp(min=0)
    response = response.clamp(min=-60.0)
    octaves = torch.log2(torch.linspace(1, 24, bands))
    place = smooth(PLACE_STD, bands, generator, _PLACE_KNOTS) - _uniform(SLOPE, generator) * octaves
    for _ in range(_HUMS):  # of fans and transformers; every other one is silent
        centre, width = _uniform((0, bands), generator), _uniform((0.5, 1.5), generator)
        place = place + max(0.0, _uniform((-14, 14), generator)) * torch.exp(-(((band - centre) / width) ** 2))
    floor = smooth(FLOOR_STD, bands, generator, _FLOOR_KNOTS)
    place, floor = (DB * spectrum - (DB * spectrum).logsumexp(0) for spectrum in (place, floor))
    return DB * response, place + DB * response, floor + DB * _uniform(FLOOR, generator)


def _reverberated(power: Tensor, decay: float, wet: float) -> Tensor:
    """``power`` [frame, band] and ``wet`` times as much of it again, spread over the frames that follow.

    Args:
        decay: seconds for 60 dB.
    """
    step = HOP_LENGTH / SAMPLE_RATE * 6 * math.log(10) / decay
    frame = torch.arange(float(len(power)))
    tail = torch.exp(-step * (frame[:, None] - frame)).tril() * -math.expm1(-step)
    return power + wet * (tail @ power)


def _fluctuation(count: int, bands: int, generator: torch.Generator) -> Tensor:
    """Logarithms of noise power in mel bands, [frame, band]: the higher a band, the wider, and so the steadier."""
    bins = 1 + 15 * torch.linspace(0, 1, bands) ** 2
    std = torch.log1p(1 / bins).sqrt()  # the log-normal distribution of unit mean with the variance of the bins' mean
    return std * torch.randn(count, bands, generator=generator) - std**2 / 2


def _tilt(bands: int) -> Tensor:
    return torch.linspace(-1, 1, bands)


def _uniform(limits: tuple[float, float], generator: torch.Generator) -> float:
    low, high = limits
    return low + (high - low) * float(torch.rand((), generator=generator))


def _logarithms(limits: tuple[float, float]) -> tuple[float, float]:
    return math.log(limits[0]), math.log(limits[1])


AUGMENTATIONS: dict[str, Augmentation] = {"sensor": sensor}
