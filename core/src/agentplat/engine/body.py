"""What an owner hands to whoever runs the body of a step, and what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from agentplat.contracts.store import CallRow, Claim
from agentplat.domain.commands import StartStep
from agentplat.domain.failure import Failure
from agentplat.domain.json import JsonValue
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat.engine.definitions import Pinned


class Recorder(Protocol):
    """The ledger of one try of one step."""

    async def __call__(self, row: CallRow) -> None:
        """Returns when the row is committed."""


@dataclass(slots=True)
class BodyStart:
    """Everything that running one attempt of a step needs from its owner."""

    start: StartStep
    claim: Claim
    pinned: Pinned
    recorded: Sequence[CallRow]  # the step's calls so far, of all its tries
    record: Recorder


@dataclass(slots=True, kw_only=True)
class BodyEnd:
    output: JsonValue = None
    failure: Failure | None = None
    cancelled: bool = False
    usage: Usage = NO_USAGE


RunBody: TypeAlias = Callable[[BodyStart], Awaitable[BodyEnd]]
"""Runs one attempt; never raises. A cancel is an end too, with what was used until then."""
