"""How the command line shows things: tables and colour for people, one JSON object a line for programs.

What comes from outside (inputs, outputs, errors) is text: it is never read as markup, and control characters are
shown, not obeyed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from agentplat.contracts.interface import JournalView, TaskView
from agentplat.domain.json import JsonValue

_COLOURS = {"done": "green", "error": "red", "cancelled": "yellow", "running": "cyan", "waiting": "magenta"}
_QUIET_EVENTS = frozenset({"task_claimed", "block_started", "block_finished"})


def plain(text: object) -> Text:
    """Text for a terminal, with control characters made visible."""
    shown = "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in str(text))
    return Text(shown)


def cost_text(cost: int | None) -> str:
    """Micro-USD as dollars; `unknown` where the price is."""
    return "unknown" if cost is None else f"${cost / 1_000_000:.6f}"


def task_json(task: TaskView) -> dict[str, Any]:
    """The task as programs read it."""
    value = asdict(task)
    value["cost"] = value["usage"].pop("cost")
    return value


class Printer:
    def __init__(self, *, json_lines: bool) -> None:
        self._json = json_lines
        self.out = Console(highlight=False)
        self._notes = Console(stderr=True, highlight=False)
        self._status: Status | None = None

    def line(self, value: Mapping[str, Any]) -> None:
        """One JSON object on a line of its own."""
        self.out.file.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")
        self.out.file.flush()

    @contextmanager
    def progress(self, task: TaskView) -> Iterator[None]:
        """Shows on standard error that something goes on, where a person looks at it."""
        if self._json or not self._notes.is_terminal:
            yield
            return
        with self._notes.status(plain(f"{task.type} is {task.status.value}")) as self._status:
            yield
        self._status = None

    def update(self, task: TaskView) -> None:
        if self._status is None:
            return
        state = task.workflow_state
        where = f", step {state.current}, iteration {state.iteration}" if state is not None else ""
        self._status.update(plain(f"{task.type} is {task.status.value}{where}"))

    def event(self, event: JournalView) -> None:
        if self._json:
            self.line({"seq": event.seq, "at": event.at, "kind": event.kind, **_inner(event.content)})
        elif event.kind not in _QUIET_EVENTS:
            path = event.content.get("path")
            self._notes.print(Text(f"{event.at:%H:%M:%S} "), plain(event.kind), plain(path or ""), sep=" ")

    def task(self, task: TaskView) -> None:
        """The whole task."""
        if self._json:
            self.line(task_json(task))
            return
        colour = _COLOURS.get(task.status.value, "")
        self.out.print(Text(task.status.value, style=f"bold {colour}"), plain(task.type), plain(task.id))
        if task.failure is not None:
            self.out.print(Text(task.failure.code.value, style="red"), plain(task.failure.message))
        for step in task.steps:
            again = f", attempt {step.attempt}" if step.attempt > 1 else ""
            self.out.print(Text("  "), plain(f"{step.path}: {step.status.value}{again}"), sep="")
        if task.output is not None:
            self.out.print(plain(json.dumps(task.output, indent=2, ensure_ascii=False)))
        usage = task.usage
        self.out.print(
            plain(f"cost {cost_text(usage.cost)}, tokens {usage.input_tokens} in, {usage.output_tokens} out"),
            style="dim",
        )

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
        if not rows:
            self._notes.print(plain(empty))
            return
        table = Table(*columns, box=None, header_style="bold")
        for row in rows:
            table.add_row(*(plain("" if cell is None else cell) for cell in row))
        self.out.print(table)


def _inner(content: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The event's own values; `kind` and the like stay those of the line."""
    return {key if key not in ("seq", "at", "kind") else f"event_{key}": value for key, value in content.items()}
