"""Parts that many keys share: retries, defaults, the names of failures."""

from __future__ import annotations

from dataclasses import dataclass

from agentplat.domain.failure import FailureCode
from agentplat.domain.json import JsonValue
from agentplat.domain.retry import DEFAULT_RETRY, RetryPolicy
from agentplat.domain.workflow import DEFAULT_STEP_TIMEOUT
from agentplat.language.nodes import Node, seconds_of

RETRY_KEYS = frozenset({"max_attempts", "backoff", "initial", "max", "on"})
BACKOFFS = ("exponential", "linear", "constant")
FAILURES = frozenset({"retryable", "permanent", *(code.value for code in FailureCode)})

NormalForm = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a step gets that does not say otherwise."""

    timeout: float | None
    retry: NormalForm
    model: str | None = None


def _normal_retry(policy: RetryPolicy) -> NormalForm:
    return {
        "max_attempts": policy.max_attempts,
        "backoff": policy.backoff,
        "initial": seconds_of(policy.initial.total_seconds()),
        "max": seconds_of(policy.max.total_seconds()),
        "on": sorted(policy.on),
    }


def read_defaults(node: Node) -> Defaults:
    """What a workflow's `defaults` say, over what is usual. Faults are reported."""
    if node.value is not None:
        node.keys({"timeout", "retry", "model"})
    timeout = node["timeout"].duration()
    return Defaults(
        timeout=timeout if timeout is not None else seconds_of(DEFAULT_STEP_TIMEOUT.total_seconds()),
        retry=read_retry(node["retry"], _normal_retry(DEFAULT_RETRY)),
        model=node["model"].text(),
    )


def read_retry(node: Node, default: NormalForm) -> NormalForm:
    """What `retry` says, over `default`. Faults are reported."""
    if node.value is None or not node.keys(RETRY_KEYS):
        return default
    given: NormalForm = {
        "max_attempts": node["max_attempts"].number(1, 100, whole=True),
        "backoff": node["backoff"].known("backoff", BACKOFFS),
        "initial": node["initial"].duration(),
        "max": node["max"].duration(),
        "on": read_failures(node["on"]),
    }
    retry = default | {key: value for key, value in given.items() if value is not None}
    first, longest = retry["initial"], retry["max"]
    assert isinstance(first, int | float)
    assert isinstance(longest, int | float)
    if first > longest:
        if given["max"] is not None:
            node["max"].refuse("out_of_range", f"`max` is shorter than `initial`, which is {first:g} s")
        retry["max"] = first
    return retry


def read_failures(node: Node) -> JsonValue:
    """Codes of failures and groups of them, sorted; None when nothing is said. Faults are reported."""
    if isinstance(node.value, str):
        code = node.known("failure", FAILURES)
        return None if code is None else [code]
    items = node.list()
    if items is None:
        return None
    return sorted({code for item in items if (code := item.known("failure", FAILURES)) is not None})


def condition(node: Node) -> str | None:
    """An expression as text; `true` and `false` may stand as they are."""
    if isinstance(node.value, bool):
        return str(node.value).lower()
    return node.text()
