"""A hundred signals, and their loudness as libebur128 measures it: the reference of ``test_loudness.py``.

``pip install pyebur128==0.1.1 && python tests/hear_multiview/audio/libebur128.py`` writes ``libebur128.csv`` again. It
has no wheel for Python 3.13, so the numbers are kept, and not computed in each run of the tests.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

TABLE = Path(__file__).with_name("libebur128.csv")
RATES = (8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000)
SIGNALS = 100


def signal(number: int) -> tuple[np.ndarray, int]:
    """One of `SIGNALS` signals, float64 [sample], and its sample rate in Hz."""
    rng = np.random.default_rng(number)
    rate = RATES[number % len(RATES)]
    frames = round(rate * rng.uniform(0.5, 1.5))
    time = np.arange(frames) / rate
    noise = rng.uniform(-1, 1, frames)
    pitch = 2 * np.pi * rng.uniform(30, 0.4 * rate)  # radians a second
    kinds = (
        noise,
        np.sin(pitch * time),
        np.sin(pitch * time**2 / 8),
        np.cumsum(noise) / 50 % 1 - 0.5,
        noise * (time % 1 < 0.3) + 0.003 * np.sin(pitch * time),
    )
    return 10 ** rng.uniform(-2, -0.1) * kinds[number // len(RATES) % len(kinds)], rate


def main() -> None:
    """Write the table."""
    import pyebur128

    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("signal", "lufs"))
        for number in range(SIGNALS):
            samples, rate = signal(number)
            state = pyebur128.R128State(1, rate, pyebur128.MeasurementMode.MODE_I)
            state.add_frames(samples, len(samples))
            writer.writerow((number, f"{pyebur128.get_loudness_global(state):.4f}"))


if __name__ == "__main__":
    main()
