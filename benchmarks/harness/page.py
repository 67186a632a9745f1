"""The generated part of docs/reference/benchmarks.md, from the files in benchmarks/results/."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.columns import COLUMNS, TITLES
from harness.report import main_of, profile_table, ratio, shown, table
from harness.targets import targets

RESULTS = Path(__file__).parents[1] / "results"
NEWEST = "latest.json"
Result = Mapping[str, Any]


def page() -> str:
    """What is between the marks of the page."""
    newest = _read(RESULTS / NEWEST)
    older = [_read(file) for file in sorted(RESULTS.glob("*.json"), reverse=True) if file.name != NEWEST]
    parts = [_conditions(newest), "## In short", _in_short(newest), _targets(newest), _over_time([newest, *older])]
    for workload, rows in newest["rows"].items():
        parts += [f"## {workload}: {TITLES[workload]}", table(rows, workload)]
    if newest["profiles"]:
        parts += ["## Where the remaining time goes", profile_table(newest["profiles"]), _places(newest["profiles"])]
    return "\n\n".join(part for part in parts if part)


def _read(file: Path) -> Result:
    found: Result = json.loads(file.read_text(encoding="utf-8"))
    return found


def _conditions(result: Result) -> str:
    machine, servers = result["machine"], result["servers"]
    durable = ", ".join(f"{name} {servers[name]}" for name in ("fsync", "synchronous_commit", "full_page_writes"))
    sizes = ", ".join(f"{name} {servers[name]}" for name in ("shared_buffers", "max_wal_size"))
    cores = f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, {machine['system']}"
    redis = f" Redis {servers['redis']}." if "redis" in servers else ""
    lines = [
        f"Measured on {result['when']} (agentplat {result['commit']}) on {cores}, Python {machine['python']}.",
        "Worker, client and database share them.",
        f"PostgreSQL {servers['postgresql']} {servers['postgresql programs']}: {durable}; {sizes}.{redis}",
        "",
        *[
            f"- {peer}: {', '.join(f'{name} {version}' for name, version in versions.items() if name != 'python')}"
            for peer, versions in result["versions"].items()
        ],
    ]
    return "\n".join(lines)


def _targets(result: Result) -> str:
    found = targets(result["rows"])
    return f"## What it is meant to reach\n\n{found}" if found else ""


def _in_short(result: Result) -> str:
    """Agentplat's main numbers beside the limit's and every peer's best."""
    peers = ["limit", "pgqueuer", "dbos", "langgraph", "procrastinate", "celery"]
    heads = ["", "agentplat on PostgreSQL", "on SQLite", *[f"{peer}" for peer in peers]]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for workload, rows in result["rows"].items():
        if workload in ("W2", "W6", "W9"):
            continue  # several rows of each peer: see below
        by_label = {row["label"]: row for row in rows}
        ours = main_of(by_label.get("agentplat on PostgreSQL"), workload)
        cells = [shown(ours), shown(main_of(by_label.get("agentplat on SQLite"), workload))]
        for peer in peers:
            best = _best([row for row in rows if row["label"].startswith(peer)], workload)
            cells.append(f"{shown(best)} ({ratio(ours, best, workload)})" if best else "-")
        title = COLUMNS[workload][0].title
        lines.append(f"| {workload} {title} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "In brackets: how many times as good agentplat on PostgreSQL is."])


def _best(rows: Sequence[Mapping[str, Any]], workload: str) -> float | None:
    """Of those that keep what they do."""
    values = [main_of(dict(row), workload) for row in rows if "keeps nothing" not in row["label"]]
    known = [value for value in values if value is not None]
    better = max if workload in ("W1", "W2", "W4", "W9") else min
    return better(known) if known else None


def _over_time(results: Sequence[Result]) -> str:
    """Agentplat's own main numbers in every result that is kept."""
    if len(results) < 2:
        return ""
    heads = ["agentplat", *[f"{result['title']} ({result['commit']})" for result in results]]
    lines = ["## agentplat over time", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for workload, rows in results[0]["rows"].items():
        for label in [row["label"] for row in rows if row["label"].startswith("agentplat")]:
            cells = [_cell(result, workload, label) for result in results]
            if any(cell != "-" for cell in cells[1:]):
                lines.append(f"| {workload} {COLUMNS[workload][0].title}, {label[10:]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(result: Result, workload: str, label: str) -> str:
    row = next((row for row in result["rows"].get(workload, []) if row["label"] == label), None)
    return shown(main_of(row, workload))


def _places(profiles: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in profiles:
        places = list(row["profile"]["places"].items())[:12]
        lines += [f"The busiest places of {row['workload'].replace('P', 'W')}, {row['label']}:", ""]
        lines += [f"- {100 * share:.1f} %  `{place}`" for place, share in places]
        lines += [""]
    return "\n".join(lines).strip()
