"""Identifiers and the text form of each. They are made at the edge; here they are only read and written."""

from __future__ import annotations

from typing import NewType
from uuid import UUID

TaskId = NewType("TaskId", UUID)
"""UUIDv7: the order of ids is the order of submission."""

WorkerId = NewType("WorkerId", UUID)
"""Random per process start, so that not even a failover that loses commits revives an old claim."""

ExecutionId = NewType("ExecutionId", UUID)
"""UUIDv7 of one execution of a step: what the HTTP API calls the id of a subtask."""


class StepPath(tuple[tuple[str, int], ...]):
    """Names one execution: `polish#2/critique`. `#n` counts the executions of a step within its block, from 1.

    `gather[17]` is the execution of `gather` for an item; items are counted from 0, and `[]` is the name of that step.
    A tuple of step names and numbers from the root down; the empty one is the root block.
    """

    __slots__ = ()

    def child(self, step: str, number: int) -> StepPath:
        return StepPath((*self, (step, number)))

    @property
    def parent(self) -> StepPath:
        return StepPath(self[:-1])

    @property
    def step(self) -> str:
        return self[-1][0] if self else ""

    @property
    def number(self) -> int:
        return self[-1][1] if self else 1

    def __str__(self) -> str:
        text = "/".join([name if number == 1 else f"{name}#{number}" for name, number in self])
        return _items_shown(self) if "[" in text else text

    def __repr__(self) -> str:
        return f"<{self}>"

    @staticmethod
    def parse(text: str) -> StepPath:
        """The path that `str(path)` gave; the empty text is the root block."""
        if not text:
            return StepPath()
        pieces = (part.partition("#") for part in text.replace("[", "/[").split("/"))
        return StepPath(
            ("[]", int(name[1:-1]) + 1) if name[0] == "[" else (name, int(number) if number else 1)
            for name, _, number in pieces
        )


def _items_shown(path: StepPath) -> str:
    shown = [f"[{n - 1}]" if name == "[]" else f"/{name}" if n == 1 else f"/{name}#{n}" for name, n in path]
    return "".join(shown).removeprefix("/")
