"""How a report is shown: a table for people, JSON lines for programs. Progress goes to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from agentplat_doctor.report import Finding, Report

_COLOURS = {"error": "red", "warning": "yellow"}


def json_lines(report: Report) -> Iterator[str]:
    """One object for each predicate that was asked, and the summary as the last one."""
    for finding in report.findings:
        predicate = finding.predicate
        yield json.dumps(
            {
                "code": predicate.code,
                "level": predicate.level,
                "count": finding.count,
                "examples": list(finding.examples),
                "wrong": predicate.wrong,
                "meaning": predicate.meaning,
                "next": predicate.next,
            }
        )
    yield json.dumps(
        {
            "summary": "errors" if report.errors else "warnings" if report.warnings else "clean",
            "errors": len(report.errors),
            "warnings": len(report.warnings),
            "predicates": len(report.findings),
            "tasks": report.tasks,
            "database": report.dialect,
            "seconds": round(report.seconds, 3),
        }
    )


def readable(report: Report) -> None:
    """What does not hold, errors first, and how much was looked at."""
    console = Console(file=sys.stdout, highlight=False)
    found = [*report.errors, *report.warnings]
    if found:
        console.print(_overview(found))
    for finding in found:
        console.print()
        console.print(_heading(finding))
        for text in (finding.predicate.wrong, finding.predicate.meaning, f"Next: {finding.predicate.next}"):
            console.print(Padding(Text(text), (0, 0, 0, 4)))
        for example in finding.examples:
            console.print(Padding(Text(example), (0, 0, 0, 8)), soft_wrap=True)
    if found:
        console.print()
    console.print(Text(_summary(report), style="bold"))


def _overview(found: Sequence[Finding]) -> Table:
    table = Table("level", "code", "count", box=None, pad_edge=False)
    for finding in found:
        level = finding.predicate.level
        table.add_row(Text(level, style=_COLOURS[level]), finding.predicate.code, str(finding.count))
    return table


def _heading(finding: Finding) -> Text:
    return Text.assemble(
        (finding.predicate.level, f"bold {_COLOURS[finding.predicate.level]}"), " ", (finding.predicate.code, "bold")
    )


def _summary(report: Report) -> str:
    asked = f"{len(report.findings)} predicates, {report.tasks} tasks, {report.seconds:.1f} s"
    if not report.errors and not report.warnings:
        return f"Everything holds ({asked})."
    return f"Errors: {len(report.errors)}, warnings: {len(report.warnings)} ({asked})."


@contextmanager
def progress(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Shows how far the examination has come, on standard error, where a person looks at it."""
    console = Console(file=sys.stderr)
    if not shown or not console.is_terminal:
        yield lambda _done, _of: None
        return
    with Progress(TextColumn("checking"), BarColumn(), TextColumn("{task.percentage:.0f} %"), console=console) as bar:
        whole = bar.add_task("checking", total=None)
        yield lambda done, of: bar.update(whole, completed=done, total=of)
