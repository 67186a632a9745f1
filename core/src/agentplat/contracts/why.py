"""Why a task stands where it stands: one sentence, and the facts that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from agentplat.domain.json import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Of one step. `code` is stable: running, interrupted, retry, timer, signal, needs, skipped, failed."""

    path: str
    code: str
    sentence: str
    until: datetime | None = None  # when it goes on by itself, if it does
    details: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Of a whole task. `code` is stable.

    Over: done, failed, poisoned, timed_out, cancelled. Owned: running, cancelling. Pending: delayed, handed_back,
    limited, no_worker, suspect, crashed, turn. Waiting: waiting.
    """

    task_id: UUID
    code: str
    sentence: str
    at: datetime  # the database's clock
    until: datetime | None = None  # when something happens by itself, if it does
    details: Mapping[str, JsonValue] = field(default_factory=dict)
    steps: Sequence[Reason] = ()
