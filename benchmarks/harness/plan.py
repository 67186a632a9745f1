"""What is run: which workload on which peer, with which options. The order here is the order of the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SHORT, LONG = "short", "long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of a workload's table."""

    workload: str
    label: str
    peer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    python: str | None = None  # another interpreter than the peer's own: an older version of agentplat


_AGENTPLAT: dict[str, dict[str, Any]] = {"agentplat on PostgreSQL": {}, "agentplat on SQLite": {"database": "sqlite"}}
_CELERY: dict[str, dict[str, Any]] = {"celery, Redis everysec": {}}


def _rows(workload: str, peer: str, rows: Mapping[str, Mapping[str, Any]]) -> list[Entry]:
    return [Entry(workload=workload, label=label, peer=peer, options=options) for label, options in rows.items()]


def _with(rows: Mapping[str, Mapping[str, Any]], suffix: str = "", **options: Any) -> dict[str, Mapping[str, Any]]:
    return {f"{label}{suffix}": {**given, **options} for label, given in rows.items()}


def _drains() -> list[Entry]:
    entries = [
        *_rows("W1", "limit", {"limit, claim one, finish one": {"mode": "naive"}, "limit, 100 at once": {}}),
        *_rows("W1", "agentplat", _AGENTPLAT),
        *_rows("W1", "pgqueuer", {"pgqueuer": {}}),
        *_rows("W1", "dbos", {"dbos": {}}),
        *_rows("W1", "procrastinate", {"procrastinate": {}}),
        *_rows("W1", "celery", {**_CELERY, "celery, Redis always": {"fsync": "always"}}),
    ]
    several = [
        entry for entry in entries if entry.label not in ("limit, claim one, finish one", "celery, Redis always")
    ]
    return entries + [
        replace(
            entry, workload="W2", label=f"{entry.label}, {count} processes", options={**entry.options, "workers": count}
        )
        for entry in several
        for count in (2, 4)
    ]


def _latencies() -> list[Entry]:
    return [
        *_rows("W3", "limit", {"limit, LISTEN/NOTIFY": {}}),
        *_rows("W3", "agentplat", _AGENTPLAT),
        *_rows("W3", "pgqueuer", {"pgqueuer": {}}),
        *_rows("W3", "dbos", {"dbos, poll 0.05 s": {"poll": 0.05}, "dbos, poll 1 s (default)": {"poll": 1.0}}),
        *_rows("W3", "procrastinate", {"procrastinate": {}}),
        *_rows("W3", "celery", _CELERY),
    ]


def _workflows() -> list[Entry]:
    langgraph = {
        "langgraph on PostgreSQL, sync": {},
        "langgraph on SQLite, sync": {"saver": "sqlite"},
        "langgraph in memory (keeps nothing)": {"saver": "memory"},
    }
    return [
        *_rows("W4", "limit", {"limit, a commit per step": {"mode": "naive", "n": 1000}, "limit, group commit": {}}),
        *_rows("W4", "agentplat", _AGENTPLAT),
        *_rows("W4", "pgqueuer", {"pgqueuer, chain": {}}),
        *_rows("W4", "dbos", {"dbos": {"mode": "sync"}, "dbos, async": {"mode": "async"}}),
        *_rows("W4", "langgraph", langgraph),
        *_rows("W4", "procrastinate", {"procrastinate, chain": {}}),
        *_rows("W4", "celery", {"celery, chain, Redis everysec": {}}),
        *_rows("W5", "limit", {"limit": {}}),
        *_rows("W5", "agentplat", _AGENTPLAT),
        *_rows("W5", "dbos", {"dbos, workflows": {}, "dbos, steps": {"kind": "steps"}}),
        *_rows(
            "W5", "langgraph", {"langgraph on PostgreSQL, sync": {}, "langgraph on SQLite, sync": {"saver": "sqlite"}}
        ),
        *_rows("W5", "celery", {"celery, chord, Redis everysec": {}}),
    ]


def _queues() -> list[Entry]:
    peers: dict[str, Mapping[str, Mapping[str, Any]]] = {
        "limit": {"limit, 100 at once": {}},
        "agentplat": _AGENTPLAT,
        "pgqueuer": {"pgqueuer": {}},
        "dbos": {"dbos": {}},
        "procrastinate": {"procrastinate": {}},
        "celery": _CELERY,
    }
    entries = [
        entry
        for peer, rows in peers.items()
        for waiting in (10_000, 100_000, 1_000_000)
        for entry in _rows("W6", peer, _with(rows, f", {waiting // 1000:,}k wait", waiting=waiting))
    ]
    finished = _with({"agentplat on PostgreSQL": {}}, ", 10k wait, 5M finished", waiting=10_000, finished=5_000_000)
    return entries + _rows("W6", "agentplat", finished)


def _waits() -> list[Entry]:
    return [
        *_rows("W7", "limit", {"limit": {}}),
        *_rows("W7", "agentplat", _AGENTPLAT),
        *_rows("W7", "pgqueuer", {"pgqueuer": {}}),
        *_rows("W7", "dbos", {"dbos": {}}),
        *_rows("W7", "procrastinate", {"procrastinate": {}}),
        *_rows("W7", "celery", {"celery, gevent": {"pool": "gevent", "concurrency": 500}}),
        *_rows("W8", "agentplat", _AGENTPLAT),
        *_rows("W8", "pgqueuer", {"pgqueuer": {}}),
        *_rows("W8", "dbos", {"dbos": {}}),
        *_rows("W8", "procrastinate", {"procrastinate": {}}),
        *_rows("W8", "celery", {"celery, 2 processes": {"pool": "prefork", "concurrency": 2}}),
    ]


def _sockets_and_doors() -> list[Entry]:
    return [
        *_rows("W10", "agentplat", _with(_AGENTPLAT, n=10_000)),
        *_rows("W9", "agentplat", _with(_AGENTPLAT, ", store, 1,000 at once", way="store")),
        *_rows("W9", "agentplat", _with(_AGENTPLAT, ", POST /v1/tasks:batch", way="batch")),
        *_rows("W9", "agentplat", _with(_AGENTPLAT, ", Client, 50 callers", way="client", n=2_000)),
        *_rows("W9", "agentplat", _with(_AGENTPLAT, ", POST /tasks, one caller", way="http", n=1_000)),
    ]


def _profiles() -> list[Entry]:
    sampled = _with(_AGENTPLAT, sampled=True)
    return [
        *_rows("P1", "agentplat", sampled),
        *_rows("P4", "agentplat", sampled),
        *_rows("P5", "agentplat", sampled),
    ]


LONG_PLAN: tuple[Entry, ...] = (
    *_drains(),
    *_latencies(),
    *_workflows(),
    *_queues(),
    *_waits(),
    *_sockets_and_doors(),
    *_profiles(),
)

_SHORT = {
    ("W1", "limit, 100 at once"): {"n": 20_000},
    ("W1", "agentplat on PostgreSQL"): {"n": 1_000},
    ("W1", "agentplat on SQLite"): {"n": 1_000},
    ("W3", "limit, LISTEN/NOTIFY"): {"n": 50, "seconds": 5},
    ("W3", "agentplat on PostgreSQL"): {"n": 50, "seconds": 5},
    ("W4", "limit, group commit"): {"n": 1_000},
    ("W4", "agentplat on PostgreSQL"): {"n": 100},
    ("W4", "agentplat on SQLite"): {"n": 100},
    ("W5", "agentplat on PostgreSQL"): {"n": 200, "rounds": 1},
    ("W7", "agentplat on PostgreSQL"): {"n": 100},
    ("W8", "agentplat on PostgreSQL"): {"seconds": 5},
    ("W9", "agentplat on PostgreSQL, store, 1,000 at once"): {"n": 3_000},
    ("W9", "agentplat on PostgreSQL, POST /v1/tasks:batch"): {"n": 3_000},
}
SHORT_PLAN: tuple[Entry, ...] = tuple(
    replace(entry, options={**entry.options, **_SHORT[entry.workload, entry.label]})
    for entry in LONG_PLAN
    if (entry.workload, entry.label) in _SHORT
)
"""agentplat and the limit, a minute or two: what CI runs. It shows that everything works, not how fast it is."""
