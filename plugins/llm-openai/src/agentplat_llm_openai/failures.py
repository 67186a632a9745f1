"""From what an endpoint answered to a typed failure. Texts are our own: no word of the other side's gets into them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from agentplat import FailureCode, StepError
from agentplat_llm_openai.schema import Fault
from agentplat_llm_openai.transport import Unanswered

__all__ = ["LONGEST_RETRY_AFTER", "Endpoint", "refusal_of", "retry_after", "unanswered", "unreadable"]

LONGEST_RETRY_AFTER = 86_400.0  # seconds; more than that is no advice to a retry

# Codes that are told apart; what else a body says is not believed and not shown.
_FILTERED = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})
_EXHAUSTED = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_REASONS = {
    "context_length_exceeded": "the prompt is longer than the model's context",
    "model_not_found": "it does not know the model",
    "string_above_max_length": "a text of the request is too long",
}


class Endpoint:
    """Names for messages: which provider it is, where it is, and which variables say so."""

    def __init__(self, name: str, url: str, url_variable: str, key_variable: str) -> None:
        self.name, self.url, self.url_variable, self.key_variable = name, url, url_variable, key_variable

    def failure(
        self,
        code: FailureCode,
        text: str,
        *,
        status: int | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
    ) -> StepError:
        return StepError(
            code,
            f"{self.name}: {text}",
            retryable=retryable,
            retry_after=retry_after,
            details={"provider": self.name} | ({} if status is None else {"status": status}),
        )


def unanswered(endpoint: Endpoint, fault: Unanswered, timeout: float) -> StepError:
    """The failure when no answer could be read within `timeout` seconds."""
    match fault.reason:
        case "timeout":
            return endpoint.failure(FailureCode.TIMEOUT, f"no complete answer within {timeout:g} s.")
        case "unreachable":
            text = f"cannot be reached at {endpoint.url}. Is it running? {endpoint.url_variable} sets the address."
            return endpoint.failure(FailureCode.UNAVAILABLE, text)
        case "broken_off":
            return endpoint.failure(FailureCode.UNAVAILABLE, "the connection broke before the answer was complete.")
        case "garbled":
            return unreadable(endpoint, "it cannot be decompressed")
        case "address":
            text = f"the address cannot be used. Check {endpoint.url_variable}."
            return endpoint.failure(FailureCode.INVALID_INPUT, text)


def unreadable(endpoint: Endpoint, what: str) -> StepError:
    """The failure when an answer came that makes no reply; `what` is wrong with it, in our words."""
    return endpoint.failure(FailureCode.INVALID_OUTPUT, f"the answer cannot be used: {what}.")


def refusal_of(
    endpoint: Endpoint, *, status: int, fault: Fault | None, headers: Mapping[str, str], model: str
) -> StepError:
    """The failure that a status other than success means, or the error in the body of a successful one."""
    code = fault.code if fault is not None and isinstance(fault.code, str) else ""
    wait = retry_after(headers)
    if code in _FILTERED:
        return endpoint.failure(FailureCode.REFUSED, "a content filter refused the prompt.", status=status)
    if status == 429 and code in _EXHAUSTED:
        text = "the account's quota is used up; waiting does not help."
        return endpoint.failure(FailureCode.RATE_LIMITED, text, status=status, retryable=False)
    if status == 429:
        text = "too many requests or tokens in this time."
        return endpoint.failure(FailureCode.RATE_LIMITED, text, status=status, retry_after=wait)
    if status in {401, 403}:
        text = f"refused with status {status}. Check {endpoint.key_variable} and what that key may use" + (
            "; a moderated model may also have flagged the prompt." if status == 403 else "."
        )
        return endpoint.failure(FailureCode.REFUSED, text, status=status)
    if status == 402:
        text = f"the credit of the account behind {endpoint.key_variable} does not cover the request."
        return endpoint.failure(FailureCode.REFUSED, text, status=status)
    if status == 408:
        return endpoint.failure(FailureCode.TIMEOUT, "it gave up waiting (status 408).", status=status)
    if status in {409, 425} or status >= 500:
        text = f"cannot answer now (status {status})."
        return endpoint.failure(FailureCode.UNAVAILABLE, text, status=status, retry_after=wait)
    if status == 404:
        text = f"nothing at {endpoint.url} for the model {model!r}. Check the model's name and {endpoint.url_variable}."
        return endpoint.failure(FailureCode.INVALID_INPUT, text, status=status)
    if 300 <= status < 400:
        text = f"answers with a redirect (status {status}), which is not followed. Set {endpoint.url_variable}."
        return endpoint.failure(FailureCode.INVALID_INPUT, text, status=status)
    reason = _REASONS.get(code)
    text = f"does not accept the request for the model {model!r} (status {status})" + (
        f": {reason}." if reason else "."
    )
    return endpoint.failure(FailureCode.INVALID_INPUT, text, status=status)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After header, which may also be a date; None without a usable one. At most a day."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        date, now = _date(value), _date(headers.get("date", "")) or datetime.now(UTC)
        if date is None:
            return None
        # Both by the server's clock where it tells it, so that ours may be wrong.
        seconds = (date - now).total_seconds()
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
