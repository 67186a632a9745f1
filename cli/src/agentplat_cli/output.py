"""How tasks are shown: text and colour for people, one JSON object a line for programs.

What comes from outside (inputs, outputs, errors) is text: it is never read as markup, and control characters are
shown, not obeyed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from agentplat import JournalView, Reuse, TaskView

_COLOURS = {"done": "green", "error": "red", "cancelled": "yellow", "running": "cyan", "waiting": "magenta"}
_QUIET_EVENTS = frozenset({"task_claimed", "block_started", "block_finished"})


def plain(text: object, style: str = "") -> Text:
    """Text for a terminal, with control characters made visible."""
    shown = "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in str(text))
    return Text(shown, style=style)


def cost_text(cost: int | None) -> str:
    """Micro-USD as dollars; `unknown` where the price is."""
    if cost is None:
        return "unknown"
    return f"${cost / 1_000_000:.6f}" if cost else "$0"


def task_json(task: TaskView) -> dict[str, Any]:
    """The task as programs read it."""
    return asdict(task)


class Printer:
    """Writes results to standard output; what is only worth knowing meanwhile to standard error."""

    def __init__(self, *, json_lines: bool) -> None:
        self._json = json_lines
        # As they are now: while plugins and projects are loaded, what they print goes elsewhere.
        self._out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._notes = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._reason: str | None = None

    def line(self, value: Mapping[str, Any]) -> None:
        """One JSON object on a line of its own."""
        self._out.file.write(json.dumps(value, default=_as_text, ensure_ascii=False) + "\n")
        self._out.file.flush()

    def say(self, *texts: Text | str) -> None:
        """A line of the result, for people."""
        self._out.print(*texts, markup=False)

    def note(self, *texts: Text | str) -> None:
        """A line beside the result."""
        self._notes.print(*texts, markup=False)

    @contextmanager
    def progress(self, task: TaskView) -> Iterator[None]:
        """Shows on standard error that something goes on, where a person looks at it."""
        if self._json or not self._notes.is_terminal:
            yield
            return
        try:
            with self._notes.status(plain(_where(task))) as self._status:
                yield
        finally:
            self._status = None

    def update(self, task: TaskView) -> None:
        """The progress shows where the task is now; why nobody works on it is said once, wherever it is read."""
        if task.reason is not None and task.reason != self._reason:
            self.note("It waits:", plain(task.reason))
            self._reason = task.reason
        if self._status is not None:
            self._status.update(plain(_where(task)))

    def event(self, event: JournalView) -> None:
        """What happens while one waits: for programs whole, for people what they would ask for."""
        if self._json:
            self.line(asdict(event))
        elif event.kind not in _QUIET_EVENTS:
            self.note(f"{event.at:%H:%M:%S}", event.kind, plain(event.content.get("path") or ""))

    def journal(self, events: Sequence[JournalView]) -> None:
        """A whole journal."""
        for event in events:
            if self._json:
                self.line(asdict(event))
                continue
            content = json.dumps(
                {key: value for key, value in event.content.items() if key != "path"}, default=_as_text
            )
            path = plain(event.content.get("path") or "", "cyan")
            self.say(plain(f"{event.seq:4} {event.at:%Y-%m-%d %H:%M:%S} {event.kind}", "bold"), path)
            self.say(plain(f"     {content}", "dim"))

    def task(self, task: TaskView) -> None:
        """The whole task."""
        if self._json:
            self.line(task_json(task))
            return
        colour = _COLOURS.get(task.status.value, "")
        self.say(Text(task.status.value, style=f"bold {colour}"), plain(task.type), str(task.id))
        if task.parent is not None:
            self.say(plain(f"step {task.parent_step} of {task.parent}", "dim"))
        if task.reason is not None:
            self.say(plain(f"it waits: {task.reason}", "yellow"))
        if task.failure is not None:
            self.say(Text(task.failure.code.value, style="red"), plain(task.failure.message))
        for step in task.steps:
            again = f", attempt {step.attempt}" if step.attempt > 1 else ""
            reused = ", reused" if step.reused else ""
            child = f", task {step.child}" if step.child is not None else ""
            self.say(plain(f"  {step.path}: {step.status.value}{again}{reused}{child}"))
        if task.output is not None:
            self.say(plain(json.dumps(task.output, indent=2, ensure_ascii=False)))
        usage = task.usage
        self.say(
            plain(f"cost {cost_text(usage.cost)}, tokens {usage.input_tokens} in, {usage.output_tokens} out", "dim")
        )

    def reuse(self, quote: Reuse) -> None:
        """What a retry or fork would reuse, and what would run again."""
        if self._json:
            self.line(asdict(quote))
            return
        said = {
            "reused": (quote.reused, "green"),
            "given by hand": (quote.edited, "magenta"),
            "again": (quote.again, "yellow"),
            "decided anew": (quote.undecided, "dim"),
        }
        for word, (paths, style) in said.items():
            for path in paths:
                self.say(plain(f"{word}: {path}", style))
        saved = quote.saved
        tokens = f"tokens {saved.input_tokens} in, {saved.output_tokens} out"
        self.say(plain(f"not used again: {cost_text(saved.cost)}, {tokens}", "dim"))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
        """Aligned columns; nothing is shortened, so that ids can be copied."""
        if not rows:
            self.note(empty)
            return
        cells = [[plain("" if cell is None else cell) for cell in row] for row in rows]
        heads = [Text(column, style="bold") for column in columns]
        widths = [max(row[n].cell_len for row in [heads, *cells]) for n in range(len(columns))]
        for row in [heads, *cells]:
            for cell, width in zip(row[:-1], widths, strict=False):
                cell.pad_right(width - cell.cell_len)
            self.say(Text("  ").join(row))


def _where(task: TaskView) -> str:
    state = task.workflow_state
    where = f", {state.current}, iteration {state.iteration}" if state is not None and state.iteration else ""
    return f"{task.type} is {task.status.value}{where}" + (f": {task.reason}" if task.reason else "")


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
