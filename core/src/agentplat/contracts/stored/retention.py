"""How long what is over is kept, and what a pass of upkeep did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """For how many days what is over is kept; None is for ever. What belongs to an open task is kept."""

    history: int | None = None  # journal and calls, from the end of their task
    tasks: int | None = None  # from their end, and as long as their history
    submissions: int = 30  # idempotency keys
    audit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkept:
    """What one step of upkeep did: partitions by name, removed rows by table. `put_off` has a reason for each."""

    made: Sequence[str] = ()
    dropped: Sequence[str] = ()
    put_off: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
