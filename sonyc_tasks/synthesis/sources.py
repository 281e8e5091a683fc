"""The registry of sounds, one line per fine tag. To add a source, write its function and add its line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator

from sonyc_tasks.dataset.taxonomy import FINE, coarse_of
from sonyc_tasks.synthesis import alerts, engines, impacts, music, saws, voices
from sonyc_tasks.synthesis.signals import Wave


@dataclass(frozen=True)
class Source:
    """A sound that the generator can make.

    Attributes:
        render: ``(rng, seconds, rate) -> wave`` [sample], ``round(seconds * rate)`` samples of any level.
        seconds: Range of its durations, before the ends of a clip cut it.
        fade: Seconds of fade-in and fade-out, if inside the clip.
    """

    render: Callable[[Generator, float, int], Wave]
    seconds: tuple[float, float]
    fade: float = 0.01


SOURCES: dict[str, Source] = {
    "1-1_small-sounding-engine": Source(engines.small_engine, (4, 20), 1.5),
    "1-2_medium-sounding-engine": Source(engines.medium_engine, (4, 20), 2.0),
    "1-3_large-sounding-engine": Source(engines.large_engine, (5, 25), 2.0),
    "2-1_rock-drill": Source(impacts.rock_drill, (2, 12), 0.05),
    "2-2_jackhammer": Source(impacts.jackhammer, (2, 12), 0.05),
    "2-3_hoe-ram": Source(impacts.hoe_ram, (3, 12), 0.2),
    "2-4_pile-driver": Source(impacts.pile_driver, (4, 14), 0.2),
    "3-1_non-machinery-impact": Source(impacts.single_impacts, (0.5, 4)),
    "4-1_chainsaw": Source(saws.chainsaw, (2, 11), 0.2),
    "4-2_small-medium-rotating-saw": Source(saws.rotating_saw, (1.5, 9), 0.1),
    "4-3_large-rotating-saw": Source(saws.large_saw, (2, 11), 0.2),
    "5-1_car-horn": Source(alerts.car_horn, (0.3, 3)),
    "5-2_car-alarm": Source(alerts.car_alarm, (3, 12)),
    "5-3_siren": Source(alerts.siren, (3, 13), 0.8),
    "5-4_reverse-beeper": Source(alerts.reverse_beeper, (2, 10)),
    "6-1_stationary-music": Source(music.stationary_music, (5, 16), 0.3),
    "6-2_mobile-music": Source(music.mobile_music, (4, 12), 0.8),
    "6-3_ice-cream-truck": Source(music.ice_cream_truck, (4, 14), 0.4),
    "7-1_person-or-small-group-talking": Source(voices.talking, (1, 9), 0.05),
    "7-2_person-or-small-group-shouting": Source(voices.shouting, (0.8, 5), 0.02),
    "7-3_large-crowd": Source(voices.crowd, (4, 15), 0.8),
    "7-4_amplified-speech": Source(voices.amplified_speech, (2, 10), 0.05),
    "8-1_dog-barking-whining": Source(voices.dog, (0.5, 7)),
}

#: The sounds of each coarse class, in the taxonomy's order.
BY_CLASS: dict[str, list[str]] = {}
for _tag in FINE:
    if _tag in SOURCES:
        BY_CLASS.setdefault(coarse_of(_tag), []).append(_tag)


def sound_of(fine: str, rng: Generator) -> str:
    """Return the registered sound behind a tag: the tag itself, or for an "X" tag (unsure) any of its class."""
    return fine if fine in SOURCES else str(rng.choice(BY_CLASS[coarse_of(fine)]))


def render(fine: str, rng: Generator, seconds: float, rate: int) -> Wave:
    """Render any of the 29 fine tags: float32 [sample], ``round(seconds * rate)`` samples of any level."""
    return SOURCES[sound_of(fine, rng)].render(rng, seconds, rate)
