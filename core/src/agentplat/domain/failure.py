"""How a step or a task failed: a typed value that programs can decide on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agentplat.domain.json import JsonObject, JsonValue


class FailureCode(StrEnum):
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    INVALID_OUTPUT = "invalid_output"
    INVALID_INPUT = "invalid_input"
    REFUSED = "refused"
    TOOL_FAILED = "tool_failed"
    AGENT_FAILED = "agent_failed"
    CANCELLED = "cancelled"
    IN_DOUBT = "in_doubt"
    POISONED = "poisoned"
    BUDGET = "budget"

    @property
    def usually_retryable(self) -> bool:
        return self in _RETRYABLE


LONGEST_RETRY_AFTER = 86_400.0
_RETRYABLE = frozenset(
    {FailureCode.RATE_LIMITED, FailureCode.TIMEOUT, FailureCode.UNAVAILABLE, FailureCode.INVALID_OUTPUT}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    code: FailureCode
    message: str
    retryable: bool = False
    retry_after: float | None = None  # seconds, as the other side asked for: see `seconds_asked`
    details: JsonObject = field(default_factory=dict)

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "code": self.code.value,
            "message": self.message,
            "retryable": self.retryable,
            "retry_after": self.retry_after,
            "details": self.details,
        }

    @staticmethod
    def from_json(value: JsonObject) -> Failure:
        details, after = value.get("details"), value.get("retry_after")
        return Failure(
            code=FailureCode(str(value["code"])),
            message=str(value["message"]),
            retryable=bool(value["retryable"]),
            retry_after=seconds_asked(after),
            details=details if isinstance(details, Mapping) else {},
        )


def seconds_asked(said: object) -> float | None:
    """What foreign code, or an older version, names for a wait, as it can be kept: a day at most; None for none."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not said >= 0:  # NaN is neither
        return None
    return float(min(said, LONGEST_RETRY_AFTER))
