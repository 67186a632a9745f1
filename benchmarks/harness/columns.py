"""What the tables show of each workload's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """`path` leads through the numbers that an adapter gave: `unit.commits`."""

    title: str
    path: str


def value_at(run: Any, path: str) -> Any:
    """What stands there; None when nothing does."""
    for key in path.split("."):
        run = run.get(key) if isinstance(run, dict) else None
    return run


def _per(unit: str) -> list[Column]:
    return [
        Column(f"commits/{unit}", "unit.commits"),
        Column(f"statements/{unit}", "unit.statements"),
        Column(f"WAL bytes/{unit}", "unit.wal_bytes"),
        Column(f"own CPU ms/{unit}", "own_cpu_ms"),
        Column(f"server CPU ms/{unit}", "unit.server_cpu_ms"),
    ]


_DRAIN = [
    Column("drained/s", "drain_per_s"),
    Column("enqueued/s", "enqueue_per_s"),
    *_per("task"),
    Column("peak MB", "peak_memory_mb"),
]
COLUMNS: dict[str, list[Column]] = {  # without those of profiles
    "W1": _DRAIN,
    "W2": _DRAIN,
    "W3": [
        *[Column(f"start {point} ms", f"start_ms.{point}") for point in ("p50", "p95", "p99")],
        *[Column(f"visible {point} ms", f"visible_ms.{point}") for point in ("p50", "p95", "p99")],
        Column("submit p50 ms", "submit_ms.p50"),
        Column("samples", "start_ms.n"),
    ],
    "W4": [
        Column("steps/s", "steps_per_s"),
        Column("once at work", "working_steps_per_s"),
        *_per("step"),
        Column("peak MB", "peak_memory_mb"),
    ],
    "W5": [Column("seconds", "wall_s"), *_per("child")],
    "W6": [
        Column("seconds for 1,000", "claim_finish_s"),
        Column("with start", "with_start_s"),
        Column("statements/task", "unit.statements"),
        Column("server CPU ms/task", "unit.server_cpu_ms"),
        Column("filling, s", "load_s"),
    ],
    "W7": [
        Column("seconds", "wall_s"),
        Column("peak MB", "peak_memory_mb"),
        Column("largest process, MB", "largest_memory_mb"),
        Column("own CPU ms/task", "own_cpu_ms"),
    ],
    "W8": [
        Column("statements/minute", "statements_per_minute"),
        Column("own CPU s/minute", "cpu_s_per_minute"),
        Column("server CPU s/minute", "server_cpu_s_per_minute"),
        Column("commits/minute", "commits_per_minute"),
        Column("MB", "memory_mb"),
    ],
    "W9": [Column("accepted/s", "enqueue_per_s"), *_per("task")],
    "W10": [
        Column("until all wait, s", "until_all_wait_s"),
        Column("MB while all wait", "memory_mb"),
        Column("largest process, MB", "largest_memory_mb"),
        Column("from the answer to all ends, s", "wall_s"),
        Column("peak MB", "peak_memory_mb"),
        Column("own CPU ms/task", "own_cpu_ms"),
    ],
}
MORE_IS_BETTER = {"W1", "W2", "W4", "W9"}
TITLES = {
    "W1": "No-op tasks drained by one worker process",
    "W2": "The same by two and four worker processes",
    "W3": "An idle worker: from the submission to the body's start, and to the visible result",
    "W4": "Durable steps: workflows of ten sequential steps, 100 at a time",
    "W5": "A parent with 1,000 children, joined",
    "W6": "Claim and finish 1,000 tasks with many others in the queue",
    "W7": "500 tasks that sleep for a second",
    "W8": "A worker with nothing to do, per minute",
    "W9": "Tasks accepted",
    "W10": "10,000 tasks that wait on a socket each, in one worker process",
}
REFERENCE = {
    "W1": "limit, 100 at once",
    "W2": "limit, 100 at once, 2 processes",
    "W3": "limit, LISTEN/NOTIFY",
    "W4": "limit, group commit",
    "W5": "limit",
    "W6": "limit, 100 at once, 10k wait",
    "W7": "limit",
}
"""The row that ratios are to; the others have none."""
