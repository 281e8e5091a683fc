"""Sensors, and what they record of a scene."""

from __future__ import annotations

import numpy as np
import pytest

from sonyc_tasks.synthesis import sensors
from sonyc_tasks.synthesis.scenes import Event, record
from sonyc_tasks.synthesis.signals import sample_count

RATE, SECONDS = 48_000, 1.5
SAMPLES = sample_count(SECONDS, RATE)
PERIOD = sensors.padded_length(SAMPLES, RATE)


def sensor(number: int) -> sensors.Sensor:
    return sensors.make_sensor(np.random.default_rng([9, number]), number, PERIOD, RATE)


def event(fine: str = "2-1_rock-drill", snr: float = 12.0, distance: float = 5.0, seed: int = 1) -> Event:
    return Event(fine, fine, 0.2, 1.0, snr, distance, seed)


def recording(events: list[Event], number: int, seed: int = 0) -> np.ndarray:
    return record(events, sensor(number), np.random.default_rng(seed), SECONDS, RATE)


def a_level(wave: np.ndarray) -> float:
    """Loudest eighth of a second in dB, A-weighted, measured on the finished wave."""
    blocks = wave[: len(wave) // 6000 * 6000].reshape(-1, 6000)
    weight = sensors.a_weight(np.fft.rfftfreq(6000, 1 / RATE))
    power = 2 * np.sum((np.abs(np.fft.rfft(blocks, axis=1)) * weight) ** 2, axis=1) / 6000**2
    return float(10 * np.log10(power.max()))


def test_a_weighting_at_its_tabulated_points() -> None:
    db = 20 * np.log10(sensors.a_weight(np.array([100.0, 1000.0, 4000.0, 10_000.0])))
    np.testing.assert_allclose(db, [-19.1, 0.0, 1.0, -2.5], atol=0.1)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(("snr", "distance"), [(3.0, 5.0), (18.0, 5.0), (10.0, 100.0)])
def test_snr_is_kept_at_every_sensor(number: int, snr: float, distance: float) -> None:
    """What an event adds to a clip stands over the clip without it by the drawn ratio, whatever the sensor."""
    quiet = recording([], number)
    added = recording([event(snr=snr, distance=distance)], number) - quiet
    background = np.mean([a_level(quiet[k * 6000 : (k + 1) * 6000]) for k in range(12)])
    assert a_level(added) - background == pytest.approx(snr, abs=4.0)


def test_event_sounds_when_it_is_said_to() -> None:
    added = recording([event()], 0) - recording([], 0)
    before = added[: int(0.19 * RATE)].std()
    assert before < 0.01 * added[int(0.2 * RATE) : int(1.2 * RATE)].std()


def test_distance_dulls_and_blurs() -> None:
    def parts(distance: float) -> tuple[float, float]:
        added = recording([event("3-1_non-machinery-impact", 18.0, distance, 4)], 1) - recording([], 1)
        power = np.abs(np.fft.rfft(added)) ** 2
        bright = power[int(4000 * SECONDS) :].sum() / power.sum()
        after = added[int(1.21 * RATE) :].std() / added.std()
        return float(bright), float(after)

    near, far = parts(4.0), parts(140.0)
    assert far[0] < 0.5 * near[0]
    assert far[1] > near[1]


def test_sensor_is_the_same_for_clips_of_another_length() -> None:
    longer = sensors.make_sensor(np.random.default_rng([9, 0]), 0, 2 * PERIOD, RATE)
    assert longer.site == sensor(0).site
    np.testing.assert_allclose(np.abs(longer.microphone[::2]), np.abs(sensor(0).microphone), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(longer.direct[::2], sensor(0).direct, rtol=1e-2, atol=1e-3)


def test_sensors_differ_in_place_and_device() -> None:
    one, two = sensor(0), sensor(1)
    for field in ("microphone", "direct", "tail", "place", "floor"):
        mine, theirs = (np.log(np.abs(getattr(s, field))[100:20_000:50] + 1e-12) for s in (one, two))
        assert np.abs(mine - theirs).mean() > 0.1, field
    assert one.site != two.site
    assert one.offset != two.offset


def test_background_is_never_silent_and_steady_in_level() -> None:
    levels = [20 * np.log10(recording([], number, seed).std()) for number in range(3) for seed in range(3)]
    assert min(levels) > -65
    assert max(levels) < -25
