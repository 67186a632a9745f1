"""What model calls used and cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentplat.domain.json import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Sums of model calls. `cost` is in micro-USD; None when a price is unknown, which a sum with it is too."""

    model: str | None = None  # `provider:model` of the last call
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int | None = 0

    def __add__(self, other: Usage) -> Usage:
        if other is NO_USAGE:
            return self
        unknown = self.cost is None or other.cost is None
        return Usage(
            model=other.model or self.model,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=None if unknown else (self.cost or 0) + (other.cost or 0),
        )

    @staticmethod
    def total(parts: Iterable[Usage]) -> Usage:
        return sum(parts, NO_USAGE)

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "model": self.model,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost": self.cost,
        }

    @staticmethod
    def from_json(value: JsonObject) -> Usage:
        model, cost = value.get("model"), value.get("cost")
        return Usage(
            model=model if isinstance(model, str) else None,
            input_tokens=_count(value.get("input_tokens")),
            output_tokens=_count(value.get("output_tokens")),
            cost=cost if isinstance(cost, int) else None,
        )


def _count(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0


NO_USAGE = Usage()
