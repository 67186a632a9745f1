"""Numbers and times as people read them."""

from __future__ import annotations

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def number(amount: float) -> int | float:
    """A whole number as one; another with three digits after the point."""
    return int(amount) if amount == int(amount) else round(amount, 3)


def duration(seconds: float) -> str:
    """`1 h 30 min` and the like."""
    parts = []
    for size, unit in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{int(count)} {unit}")
    if seconds or not parts:
        parts.append(f"{number(seconds)} s")
    return " ".join(parts)
