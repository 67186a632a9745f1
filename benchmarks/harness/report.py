"""What was measured, in short: medians, ranges and ratios, as values and as tables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from harness.columns import COLUMNS, MORE_IS_BETTER, REFERENCE, TITLES, value_at

Measured = Mapping[str, Any]
Row = dict[str, Any]
"""`label`, `medians` by path, `runs`, `range` of the main number, `foreign` cores; or `label` and `fault`."""


def rows_by_workload(runs: Sequence[Measured]) -> dict[str, list[Row]]:
    """The rows of each workload, in the order in which they were planned."""
    found = {}
    for workload in COLUMNS:
        of_workload = [run for run in runs if run["workload"] == workload]
        labels = dict.fromkeys(run["label"] for run in sorted(of_workload, key=lambda run: int(run["place"])))
        if labels:
            found[workload] = [
                _row(label, [run for run in of_workload if run["label"] == label], workload) for label in labels
            ]
    return found


def _row(label: str, runs: Sequence[Measured], workload: str) -> Row:
    columns = COLUMNS[workload]
    main = columns[0].path
    good = [run for run in runs if value_at(run, main) is not None]
    if not good:
        fault = next((run[key] for run in runs for key in ("missing", "error") if key in run), "it cannot do this")
        return {"label": label, "fault": str(fault)}
    values = [value_at(run, main) for run in good]
    medians = {column.path: _median([value_at(run, column.path) for run in good]) for column in columns}
    return {
        "label": label,
        "medians": {path: value for path, value in medians.items() if value is not None},
        "runs": len(good),
        "range": [min(values), max(values)],
        "foreign": statistics.median([run["foreign_cores"] for run in good]),
    }


def _median(values: Sequence[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def profiles(runs: Sequence[Measured]) -> list[Row]:
    """Where the CPU of agentplat's workers went: the last sampled run of each row."""
    sampled = {(run["workload"], run["label"]): run for run in runs if "profile" in run}
    return [
        {
            "workload": workload,
            "label": label,
            "own_cpu_ms": run["own_cpu_ms"],
            "server_cpu_ms": value_at(run, "unit.server_cpu_ms"),
            "profile": run["profile"],
            "top": run.get("top", []),
        }
        for (workload, label), run in sampled.items()
    ]


def shown(value: float | None) -> str:
    """Three figures, or whole."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main_of(row: Row | None, workload: str) -> float | None:
    """The main number of a row; None when there is none."""
    if row is None or "fault" in row:
        return None
    value: float | None = row["medians"].get(COLUMNS[workload][0].path)
    return value


def ratio(value: float | None, to: float | None, workload: str) -> str:
    """How many times as good `value` is."""
    if not value or not to:
        return "-"
    return f"{shown(value / to if workload in MORE_IS_BETTER else to / value)}x"


def table(rows: Sequence[Row], workload: str) -> str:
    """Markdown. More than 1x is better than the limit."""
    columns = COLUMNS[workload]
    used = [column for column in columns if any(column.path in row.get("medians", {}) for row in rows)] or columns[:1]
    reference = next((row for row in rows if row["label"] == REFERENCE.get(workload)), None)
    heads = ["", *[column.title for column in used], "range", *(["to limit"] if reference else []), "runs", "foreign"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        if "fault" in row:
            said = row["fault"].replace("\n", " ").replace("|", "/")[:160]
            cells = [row["label"], said, *[""] * (len(heads) - 2)]
        else:
            to_limit = [ratio(main_of(row, workload), main_of(reference, workload), workload)] if reference else []
            cells = [
                row["label"],
                *[shown(row["medians"].get(column.path)) for column in used],
                " to ".join(map(shown, row["range"])),
                *to_limit,
                str(row["runs"]),
                shown(row["foreign"]),
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def tables(by_workload: Mapping[str, Sequence[Row]]) -> str:
    """All of them, for a terminal."""
    return "\n\n".join(
        f"### {workload} {TITLES[workload]}\n\n{table(rows, workload)}" for workload, rows in by_workload.items()
    )


def profile_table(found: Sequence[Row]) -> str:
    """Milliseconds of CPU per task or step, layer by layer, and the database's."""
    if not found:
        return ""
    layers = list(dict.fromkeys(layer for row in found for layer in row["profile"]["layers"]))
    heads = ["CPU, ms", *[f"{row['workload'].replace('P', 'W')}, {row['label'].partition(' on ')[2]}" for row in found]]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for layer in layers:
        cells = [shown(row["profile"]["layers"].get(layer, 0) * row["own_cpu_ms"]) for row in found]
        lines.append(f"| {layer} | {' | '.join(cells)} |")
    lines.append(f"| **worker and keeper** | {' | '.join(shown(row['own_cpu_ms']) for row in found)} |")
    lines.append(f"| **database server** | {' | '.join(shown(row['server_cpu_ms']) for row in found)} |")
    return "\n".join(lines)
