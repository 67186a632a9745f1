"""Diagrams and tables of the state machines, and of the journal's events."""

import inspect
from collections.abc import Iterator
from dataclasses import fields
from typing import get_args

from agentplat.domain.events import KINDS, Event
from agentplat.domain.task import TRANSITIONS, TaskState, TaskTrigger
from agentplat.runtime.worker_state import WorkerState, worker_diagram

from .tables import code, table

# What the code does not say, because the name says it there.
_EVENTS = {
    "block_started": "A block is open; the root block, whose path is empty, is the workflow itself.",
    "block_finished": "Its strategy finished it with this output.",
    "block_failed": "A step below it failed for good, or its strategy gave up.",
    "block_cancelled": "Nothing of it is open any more, and what is around it has stopped.",
    "step_skipped": "Its `when` was false.",
    "step_succeeded": "The outcome. It is never produced again.",
    "step_failed": "One attempt failed. The retry policy decides what follows.",
    "step_cancel_requested": "Its body was told to end.",
    "step_cancelled": "The body has ended, or was given up after its grace period.",
    "retry_scheduled": "It will be tried again after `delay` seconds.",
    "signal_received": "Somebody told the task something.",
    "cancel_requested": "Somebody asked for the task to be cancelled.",
}
_TRIGGERS = {
    "claimed": "a worker took it",
    "succeeded": "its workflow came to its end",
    "failed": "a failure that nothing retries",
    "cancelled": "on request",
    "parked": "it waits for a timer, a signal or the next try",
    "woken": "what it waited for is there",
}
_WORKERS = {"stopped": "the process ends"}


def task_states() -> str:
    """The task's transitions as a Mermaid diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {TaskState.PENDING.value}"]
    lines += [f"    {old.value} --> {new.value}: {trigger.value}" for (old, trigger), new in TRANSITIONS.items()]
    lines += [f"    {state.value} --> [*]" for state in TaskState if state.is_terminal]
    return _mermaid("\n".join(lines))


def worker_states() -> str:
    """The worker's transitions as a Mermaid diagram."""
    return _mermaid(worker_diagram())


def worker_words() -> str:
    """What each state of a worker means."""
    return table(("state", "meaning"), _described(WorkerState, _WORKERS))


def triggers() -> str:
    """What moves a task from state to state."""
    return table(("change", "meaning"), _described(TaskTrigger, _TRIGGERS))


def journal_events() -> str:
    """Every kind of event with what it holds."""
    return table(("kind", "holds", "meaning"), _events())


def _mermaid(text: str) -> str:
    return f"```mermaid\n{text}\n```"


def _described(kind: type[TaskTrigger] | type[WorkerState], words: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Every member with its comment in the code, else with our words for it."""
    lines = [line for line in inspect.getsource(kind).splitlines() if " = " in line]
    for member, line in zip(kind, lines, strict=True):
        comment = line.partition("  # ")[2].strip()
        yield code(member.value), comment or words[member.value]


def _events() -> Iterator[tuple[str, str, str]]:
    for kind, event in zip(KINDS, get_args(Event), strict=True):
        is_automatic = (event.__doc__ or "").startswith(f"{event.__name__}(")
        own = "" if is_automatic else " ".join((inspect.getdoc(event) or "").split())
        yield code(kind), ", ".join(code(field.name) for field in fields(event)), own or _EVENTS[kind]
