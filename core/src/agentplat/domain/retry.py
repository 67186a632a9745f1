"""When a failed step is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from agentplat.domain.failure import Failure, FailureCode


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    max_attempts: int = 3  # tries in all, the first one included
    backoff: Literal["exponential", "linear", "constant"] = "exponential"
    initial: timedelta = timedelta(seconds=1)
    max: timedelta = timedelta(seconds=60)
    on: frozenset[str] = frozenset({"retryable"})  # failure codes, or the groups `retryable` and `permanent`

    def takes(self, failure: Failure) -> bool:
        """Whether a failure like this is tried again. What was cancelled never is, whatever the policy says."""
        groups = {"retryable" if failure.retryable else "permanent", failure.code.value}
        return failure.code is not FailureCode.CANCELLED and not groups.isdisjoint(self.on)


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
    # The exponent is capped, and `max` is divided instead of `initial` multiplied: both would overflow a timedelta.
    factor = {"exponential": 2 ** min(tries - 1, 40), "linear": tries, "constant": 1}[policy.backoff]
    delay = policy.initial * factor if policy.initial <= policy.max // factor else policy.max
    return max(delay, least_delay(failure))


def least_delay(failure: Failure) -> timedelta:
    """How long the other side asked us to wait; at most an hour: a hostile header must not park a task for ever."""
    asked = failure.retry_after or 0.0
    if asked >= _LONGEST_RETRY_AFTER.total_seconds():
        return _LONGEST_RETRY_AFTER
    return timedelta(seconds=asked) if asked > 0.0 else timedelta(0)  # nought for NaN, too
