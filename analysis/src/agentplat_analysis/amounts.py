"""How much something takes at most, in each of the quantities that a bound is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

Quantity: TypeAlias = Literal["executions", "model_calls", "tool_calls", "tokens", "seconds"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True, slots=True)
class Amounts:
    """What is not in `values` is nothing; what is infinite has no bound."""

    values: Mapping[Quantity, float] = field(default_factory=dict)

    def __getitem__(self, quantity: Quantity) -> float:
        return self.values.get(quantity, 0.0)

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts({each: self[each] + other[each] for each in QUANTITIES})

    def times(self, count: float) -> Amounts:
        """So many of it; nothing of something infinite is nothing."""
        return Amounts({each: self[each] * count if self[each] and count else 0.0 for each in QUANTITIES})

    def with_values(self, **values: float) -> Amounts:
        return Amounts({**self.values, **{each: values[each] for each in QUANTITIES if each in values}})


NOTHING = Amounts()


def total(amounts: Iterable[Amounts]) -> Amounts:
    """All together."""
    gathered = list(amounts)
    return Amounts({each: sum(amount[each] for amount in gathered) for each in QUANTITIES})


def largest(amounts: Iterable[Amounts]) -> Amounts:
    """The most of each quantity, whichever has it."""
    gathered = list(amounts)
    return Amounts({each: max((amount[each] for amount in gathered), default=0.0) for each in QUANTITIES})


def dearest(parts: Iterable[tuple[Amounts, float]], together: float) -> Amounts:
    """The most that `together` executions can take, of parts that may be executed so often each."""
    known = list(parts)
    found: dict[Quantity, float] = {}
    for each in QUANTITIES:
        left, sum_ = together, 0.0
        for amount, most in sorted(known, key=lambda part: part[0][each], reverse=True):
            count = min(most, left)
            left -= count
            if count and amount[each]:
                sum_ += amount[each] * count
            if left <= 0:
                break
        found[each] = sum_
    return Amounts(found)


def is_bounded(value: float) -> bool:
    """Whether there is a bound."""
    return math.isfinite(value)
