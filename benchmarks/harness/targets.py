"""What agentplat means to reach beside its peers, and whether it does: a part of the page of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.columns import COLUMNS, MORE_IS_BETTER
from harness.report import shown

POSTGRESQL, SQLITE = "agentplat on PostgreSQL", "agentplat on SQLite"
_CHAIN_OF = "langgraph on {}, sync"
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Target:
    """`floor` times the number of row `of`, or `floor` itself where there is none.

    `row` is agentplat's, and `path` leads to the number in both: the main one of the workload without it. `of_path`:
    where the other number is another one of the same row.
    """

    workload: str
    floor: float
    row: str = POSTGRESQL
    of: str = ""
    path: str = ""
    of_path: str = ""


TARGETS: Sequence[Target] = (
    Target("W4", 15, of=_CHAIN_OF.format("PostgreSQL")),
    Target("W4", 25, of="dbos"),
    Target("W4", 5, of="pgqueuer, chain"),
    Target("W4", 10, SQLITE, of=_CHAIN_OF.format("SQLite")),
    Target("W1", 0.4, of="pgqueuer"),
    Target("W1", 5, of="dbos"),
    Target("W1", 10, of="procrastinate"),
    Target("W2", 1.3, f"{POSTGRESQL}, 2 processes", of=POSTGRESQL),
    Target("W2", 1, f"{POSTGRESQL}, 4 processes", of=POSTGRESQL),
    Target("W9", 20_000, f"{POSTGRESQL}, store, 1,000 at once"),
    Target("W9", 5_000, f"{POSTGRESQL}, POST /v1/tasks:batch"),
    Target("W3", 1.5, of="limit, LISTEN/NOTIFY"),
    Target("W3", 1.5, of="limit, LISTEN/NOTIFY", path="visible_ms.p50"),
    Target("W3", 3, of=POSTGRESQL, path="start_ms.p99", of_path="start_ms.p50"),
    Target("W3", 3, of=POSTGRESQL, path="visible_ms.p99", of_path="visible_ms.p50"),
    Target("W5", 0.5, of=_CHAIN_OF.format("PostgreSQL")),
    Target("W6", 1.3, f"{POSTGRESQL}, 1,000k wait", of=f"{POSTGRESQL}, 10k wait"),
    Target("W6", 1.3, f"{POSTGRESQL}, 10k wait, 5M finished", of=f"{POSTGRESQL}, 10k wait"),
    Target("W7", 1.1),
    Target("W7", 100, path="largest_memory_mb"),
    Target("W10", 500, path="memory_mb"),
    Target("W8", 60),
    Target("W8", 0.3, path="cpu_s_per_minute"),
)


def targets(rows: Rows) -> str:
    """Markdown: a line for each target, with what was reached; empty where nothing of it was measured."""
    lines = [line for target in TARGETS if (line := _line(target, rows))]
    if not lines:
        return ""
    heads = ["| | floor | reached | |", "|---|---|---|---|"]
    return "\n".join([*heads, *lines])


def _line(target: Target, rows: Rows) -> str:
    workload, main = target.workload, COLUMNS[target.workload][0].path
    path = target.path or main
    ours = _number(rows, workload, target.row, path)
    if ours is None:
        return ""
    column = next(column.title for column in COLUMNS[workload] if column.path == path)
    if target.of:
        # W2 compares several processes with the one of W1.
        place = "W1" if workload == "W2" and target.of == POSTGRESQL else workload
        other = _number(rows, place, target.of, target.of_path or path)
        if not other:
            return ""
        reached, unit = ours / other, " x " + (_title(place, target.of_path) if target.of_path else target.of)
    else:
        reached, unit = ours, ""
    is_more_better = workload in MORE_IS_BETTER
    holds = reached >= target.floor if is_more_better else reached <= target.floor
    bound = "at least" if is_more_better else "at most"
    name = f"{workload} {column}, {target.row.removeprefix('agentplat on ')}"
    return (
        f"| {name} | {bound} {shown(target.floor)}{unit} | {shown(reached)} | {'reached' if holds else '**missed**'} |"
    )


def _title(workload: str, path: str) -> str:
    return "its " + next(column.title for column in COLUMNS[workload] if column.path == path)


def _number(rows: Rows, workload: str, label: str, path: str) -> float | None:
    """The median; None where the row was not measured, or has no such number."""
    row = next((row for row in rows.get(workload, ()) if row["label"] == label), None)
    found: float | None = None if row is None else row.get("medians", {}).get(path)
    return found
