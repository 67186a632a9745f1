"""When a failed step is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from agentplat.domain.failure import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    max_attempts: int = 3  # tries in all, the first one included
    backoff: Literal["exponential", "linear", "constant"] = "exponential"
    initial: timedelta = timedelta(seconds=1)
    max: timedelta = timedelta(seconds=60)
    on: frozenset[str] = frozenset({"retryable"})  # failure codes, or the groups `retryable` and `permanent`

    def takes(self, failure: Failure) -> bool:
        return (
            failure.code.value in self.on
            or ("retryable" in self.on and failure.retryable)
            or ("permanent" in self.on and not failure.retryable)
        )


DEFAULT_RETRY = RetryPolicy()
_LONGEST_RETRY_AFTER = timedelta(hours=1)


def delay_after(policy: RetryPolicy, tries: int, failure: Failure) -> timedelta | None:
    """The longest wait before the next try, after the `tries`-th one (1, 2, ...) failed; None when it failed for good.

    The caller draws the real wait between nought and this (full jitter), so that this stays a function.
    A `retry_after` of the failure is a lower bound on it: see `least_delay`. Raises ValueError for tries < 1.
    """
    if tries < 1:
        raise ValueError(f"tries are counted from 1, not {tries}")
    if tries >= policy.max_attempts or not policy.takes(failure):
        return None
    # The exponent is capped: 2**10_000 seconds would overflow a timedelta long before `max` is applied.
    factor = {"exponential": 2 ** min(tries - 1, 40), "linear": tries, "constant": 1}[policy.backoff]
    seconds = min(policy.initial.total_seconds() * factor, policy.max.total_seconds())
    return max(timedelta(seconds=seconds), least_delay(failure))


def least_delay(failure: Failure) -> timedelta:
    """How long the other side asked us to wait; at most an hour: a hostile header must not park a task for ever."""
    return min(timedelta(seconds=max(failure.retry_after or 0.0, 0.0)), _LONGEST_RETRY_AFTER)
