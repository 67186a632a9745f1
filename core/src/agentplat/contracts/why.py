"""Why a task stands where it stands: one sentence, and the facts that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from agentplat.domain.ids import WorkerId
from agentplat.domain.json import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A worker whose lease has not ended."""

    id: WorkerId
    host: str
    pid: int
    queues: Sequence[str]  # empty: an older version, which did not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a task stands in the queue, and who might take it. Of a task that is over: the clock and the workers."""

    now: datetime
    run_at: datetime | None = None  # not before, or its next timer
    suspect: bool = False
    crashes: int = 0
    poisoned: bool = False
    reason: str | None = None  # why a worker handed it back
    limit: str | None = None  # which one holds it back, in words
    workers: Sequence[Serving] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Of one step.

    `code` is stable: running, interrupted, retry, child, timer, signal, approval, needs, skipped, failed.
    """

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
