"""What a limit may say."""

from __future__ import annotations

from collections.abc import Mapping

from agentplat.contracts.limits import Limit
from agentplat.domain.errors import InputRejected
from agentplat.domain.json import unstorable

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "at_once": (0, 1_000_000),
    "starts": (1, 10_000),  # each of them is counted by every claim
    "seconds": (0.001, 366 * 86_400),
    "weight": (1, 1000),  # a turn is so many tasks
}


def refuse_nonsense(limit: Limit) -> None:
    """InputRejected, with all that is wrong."""
    wrong = [fault for at, text in (("/tenant", limit.tenant), ("/key", limit.key)) for fault in _text_faults(at, text)]
    if not limit.tenant:
        wrong.append(("/tenant", "is empty"))
    values = {name: getattr(limit, name) for name in _BOUNDS}
    for name, (least, most) in _BOUNDS.items():
        if values[name] is not None and not least <= values[name] <= most:
            wrong.append((f"/{name}", f"is not between {least:,} and {most:,}"))
    if (limit.starts is None) != (limit.seconds is None):
        wrong.append(("/starts" if limit.starts is None else "/seconds", "is missing: a rate is starts within seconds"))
    if limit.key and limit.weight is not None:
        wrong.append(("/weight", "is of a tenant as a whole, not of a key"))
    if all(value is None for value in values.values()):
        wrong.append(("", "says nothing: give at_once, starts and seconds, or the tenant's weight"))
    if wrong:
        raise InputRejected("The limit", wrong)


def _text_faults(at: str, text: str) -> list[tuple[str, str]]:
    fault = unstorable(text, at)
    return [fault] if fault else [(at, "is longer than 255 characters")] if len(text) > 255 else []
