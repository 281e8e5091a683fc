"""Numbers as text."""

from __future__ import annotations

#: What stands where there is no number.
MISSING = "—"


def number(value: float | None, sign: str = "") -> str:
    """Three digits and a typographic minus; "+" as ``sign`` marks positive numbers too.

    >>> number(-0.25, "+"), number(-0.0001, "+"), number(None)
    ('−0.250', '+0.000', '—')
    """
    # Adding 0 to -0, which has the sign of nothing, gives 0.
    return MISSING if value is None else f"{round(value, 3) + 0.0:{sign}.3f}".replace("-", "−")


def estimate(value: float | None, interval: float | tuple[float, float] | None = None, sign: str = "") -> str:
    """A number with its interval, given as half its width or by its ends; without one, the number alone.

    >>> estimate(0.5, 0.02), estimate(0.5, (0.47, 0.52)), estimate(0.5)
    ('0.500 ± 0.020', '0.500 [0.470, 0.520]', '0.500')
    """
    if value is None or interval is None:
        return number(value, sign)
    if isinstance(interval, tuple):
        return f"{number(value, sign)} [{', '.join(number(end, sign) for end in interval)}]"
    return f"{number(value, sign)} ± {number(interval)}"
