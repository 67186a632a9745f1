"""How much of the workers a tenant, or what shares a concurrency key within it, may have at one time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What is set for a concurrency key of a tenant, or with an empty key for the tenant as a whole; None: no bound."""

    tenant: str
    key: str = ""
    at_once: int | None = None  # so many tasks are worked on at one time; 0 holds all of them back
    starts: int | None = None  # so many are begun, or gone on with, ...
    seconds: float | None = None  # ... within any time of this length
    weight: int | None = None  # of the tenant's share among those who wait; only with an empty key. None is 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRow:
    """A limit, and how it stands now."""

    limit: Limit
    running: int
    started: int  # within the last `seconds`; 0 where there is no rate
    full_since: datetime | None  # as the last claim under it found; None: it had room
