"""What the demonstration shows to people: how it goes on, what was found, how good it is, what it cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from agentplat import JournalView, StepView, TaskView
from agentplat_cli.output import Printer, cost_text, plain

_NEXT = (
    ("{program} tasks show {id} --journal", "everything that happened, in order"),
    ("{program} dev", "API and worker; the API is described at http://127.0.0.1:8000/docs"),
    ("{program} init FOLDER", "a project with an agent, a tool and a workflow of your own"),
    ("AGENTPLAT_MODEL=PROVIDER:MODEL {program} demo", "the same workflow with another model"),
    ("docs/", "in the repository: tutorial, guarantees, architecture"),
)


class Report:
    """One demonstration on the terminal."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._begun: dict[str, datetime] = {}

    def beginning(self, about: Mapping[str, object]) -> None:
        """What will be done, on what, by which model."""
        for name in ("workflow", "topic", "documents", "model"):
            self._printer.say(Text(f"{name:10}", style="bold"), plain(about[name]))
        self._printer.say("")

    def event(self, event: JournalView) -> None:
        """A line for each step that ended."""
        path = str(event.content.get("path") or "")
        if event.kind == "step_started":
            self._begun[path] = event.at
        elif path in self._begun and event.kind.startswith("step_"):
            name, _, iteration = path.partition("#")
            seconds = (event.at - self._begun[path]).total_seconds()
            said = f"{event.at:%H:%M:%S}  iteration {iteration or 1}  {name}: {event.kind.removeprefix('step_')}"
            self._printer.note(plain(f"{said} after {seconds:.1f} s", "dim"))

    def ending(self, task: TaskView) -> None:
        """Findings, sources, iterations with their assessments, cost, and where to look next."""
        if task.output is None:
            self._printer.task(task)
        else:
            self._findings(task.output)
        self._iterations(task)
        usage = task.usage
        self._head("Cost")
        self._printer.say(
            plain(f"{cost_text(usage.cost)}; {usage.input_tokens} tokens in, {usage.output_tokens} out, {usage.model}")
        )
        self._head("Where to look next")
        commands = [(command.format(id=task.id, program=_program()), why) for command, why in _NEXT]
        width = max(len(command) for command, _ in commands)
        for command, why in commands:
            self._printer.say(plain(f"{command:{width}} ", "cyan"), plain(why))

    def _findings(self, output: Mapping[str, Any]) -> None:
        found = output.get("research_findings")
        if not isinstance(found, Mapping):
            self._head("Output")
            self._printer.say(plain(json.dumps(output, indent=2, ensure_ascii=False)))
            return
        self._head("Findings")
        self._printer.say(plain(found.get("findings")))
        self._head("Sources")
        for number, source in enumerate(found.get("sources") or ["none"], 1):
            self._printer.say(plain(f"[{number}] {source}"))

    def _iterations(self, task: TaskView) -> None:
        state, status = task.workflow_state, (task.output or {}).get("status")
        if state is not None:
            self._head(
                f"Iterations: {state.iteration} of at most {state.max_iterations}, {status or task.status.value}"
            )
        for step in task.steps:
            said = ", ".join(_assessment(step))
            if said:
                self._printer.say(plain(f"{step.iteration}  {said}"))

    def _head(self, text: str) -> None:
        self._printer.say("")
        self._printer.say(Text(text, style="bold"))


def _program() -> str:
    """How this program is called from here: one in a folder below is not found by its name alone."""
    called = Path(sys.argv[0]).absolute()
    below = called.name == "agentplat" and called.is_relative_to(Path.cwd())
    return str(called.relative_to(Path.cwd())) if below else "agentplat"


def _assessment(step: StepView) -> Iterator[str]:
    """A line on what the step said about quality, if that is what it does."""
    output = step.output
    if not isinstance(output, Mapping):
        return
    score, missing = output.get("quality_score"), output.get("missing")
    if isinstance(score, int | float):
        yield f"quality {score:.2f}, {'approved' if output.get('approved') else 'not approved'}"
    if isinstance(missing, list) and missing:
        yield f"missing: {'; '.join(map(str, missing))}"
