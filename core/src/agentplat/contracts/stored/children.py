"""A task that is the step of another one: whose step it is, and what it owes it."""

from __future__ import annotations

from dataclasses import dataclass

from agentplat.domain.ids import TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The execution that a child's end is the outcome of."""

    id: TaskId
    path: str
    attempt: int
    seq: int  # of the dispatch in the parent's journal
    depth: int  # so many tasks are above the child
    deadline: float | None = None  # seconds from its submission on, for all of it
