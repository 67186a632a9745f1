"""From what the service answered to a typed failure. Texts are our own: no word of the other side's gets into them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from agentplat import FailureCode, StepError
from agentplat_tool_web_search.transport import Answer, Unanswered

__all__ = ["KEY_VARIABLE", "LONGEST_RETRY_AFTER", "failure", "no_key", "refusal", "retry_after", "unanswered"]

KEY_VARIABLE = "BRAVE_API_KEY"
LONGEST_RETRY_AFTER = 86_400.0  # seconds; more than that is no advice to a retry
_WORTH_WAITING = 3_600.0  # seconds; who has to wait longer has used up a quota

# Of the service's own codes those that its status does not tell: a wrong key is answered with 422.
_KEY_CODES = frozenset({"SUBSCRIPTION_TOKEN_INVALID", "SUBSCRIPTION_TOKEN_MISSING", "OPTION_NOT_IN_PLAN"})


def failure(
    code: FailureCode,
    text: str,
    *,
    status: int | None = None,
    retryable: bool | None = None,
    retry_after: float | None = None,
) -> StepError:
    """A failure of the search; `text` follows the tool's name."""
    details = {} if status is None else {"status": status}
    return StepError(code, f"web_search: {text}", retryable=retryable, retry_after=retry_after, details=details)


def no_key() -> StepError:
    """The failure without a key: it says what to set, and where."""
    return failure(
        FailureCode.REFUSED,
        f"no key for the Brave Search API. Set {KEY_VARIABLE} in the environment of the processes that run tasks "
        "(a key comes from https://api-dashboard.search.brave.com), or give the agent another tool.",
    )


def unanswered(fault: Unanswered) -> StepError:
    """The failure when no answer could be read."""
    match fault.reason:
        case "timeout":
            return failure(FailureCode.TIMEOUT, "no complete answer in time.")
        case "unreachable":
            return failure(
                FailureCode.UNAVAILABLE, "the search service cannot be reached. Check base_url if it is set."
            )
        case "broken_off":
            return failure(FailureCode.UNAVAILABLE, "the connection broke before the answer was complete.")
        case "garbled":
            return failure(FailureCode.INVALID_OUTPUT, "the answer cannot be decompressed.")


def refusal(answer: Answer) -> StepError:
    """The failure that a status other than success means."""
    status, wait = answer.status, retry_after(answer.headers)
    if status in {401, 402, 403} or _code(answer.body) in _KEY_CODES:
        text = f"refused with status {status}. Check {KEY_VARIABLE} and that its plan includes web search."
        return failure(FailureCode.REFUSED, text, status=status)
    if status == 429 and wait is not None and wait > _WORTH_WAITING:
        text = f"the quota of the plan behind {KEY_VARIABLE} is used up."
        return failure(FailureCode.RATE_LIMITED, text, status=status, retryable=False, retry_after=wait)
    if status == 429:
        return failure(FailureCode.RATE_LIMITED, "too many searches in this time.", status=status, retry_after=wait)
    if status == 408:
        return failure(FailureCode.TIMEOUT, "the service gave up waiting (status 408).", status=status)
    if status >= 500:
        text = f"the service cannot answer now (status {status})."
        return failure(FailureCode.UNAVAILABLE, text, status=status, retry_after=wait)
    text = f"the service does not accept the search (status {status})."
    return failure(FailureCode.INVALID_INPUT, text, status=status)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds to wait: of Retry-After, which may be a date, else of the limit that is used up. At most a day."""
    value = headers.get("retry-after", "").strip()
    seconds = _seconds(value)
    if seconds is None and value:
        date, now = _date(value), _date(headers.get("date", "")) or datetime.now(UTC)
        seconds = None if date is None else (date - now).total_seconds()
    if seconds is None:
        # Two limits side by side: "0, 14000" searches remain, which is reset in "1, 1419704" seconds.
        remaining = headers.get("x-ratelimit-remaining", "").split(",")
        resets = headers.get("x-ratelimit-reset", "").split(",")
        waits = [_seconds(reset) for left, reset in zip(remaining, resets, strict=False) if _seconds(left) == 0]
        seconds = max((wait for wait in waits if wait is not None), default=None)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return None if math.isnan(seconds) else seconds


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _code(body: bytes | None) -> str:
    """The service's own code for the error; empty when there is none. It wrote `error` and `errors` over time."""
    try:
        found = json.loads(body or b"")
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    errors = found.get("errors")
    error = found.get("error") or (errors[0] if isinstance(errors, list) and errors else None)
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else ""
