"""What is wrong with a document, and where."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import get_close_matches

from agentplat.domain.errors import WorkflowInvalid

MOST = 100
"""How many diagnostics of one document are shown."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file; both counted from 1, as editors do."""

    line: int
    column: int


START = Mark(1, 1)


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """`code` is stable and meant for programs; `hint` says what to write instead."""

    file: str
    mark: Mark
    code: str
    text: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        said = f"{self.file}:{self.mark.line}:{self.mark.column}: {self.code}: {self.text}{hint}"
        # The document's own words are in it: a line end or an escape sequence of theirs would end or hide the line.
        return said if said.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in said)


@dataclass(slots=True)
class Diagnostics:
    """Gathers what is wrong with one document, so that all of it can be said at once."""

    file: str
    found: list[Diagnostic] = field(default_factory=list)

    def add(self, mark: Mark, code: str, text: str, hint: str = "") -> None:
        self.found.append(Diagnostic(self.file, mark, code, text, hint))

    def nearest(self, name: str, known: Collection[str]) -> str:
        """The hint `nearest`, as long as not too much was found: comparing names takes its time."""
        return nearest(name, known) if len(self.found) < (MOST if len(known) <= MOST else 10) else ""

    def raise_found(self) -> None:
        """Raise WorkflowInvalid when something was found; in the order of the file."""
        if not self.found:
            return
        lines = [str(diagnostic) for diagnostic in sorted(set(self.found))]
        if len(lines) > MOST:
            lines[MOST:] = [f"{self.file}:1:1: more_faults: {len(lines) - MOST} more are not shown"]
        raise WorkflowInvalid(lines)


def nearest(name: str, known: Collection[str]) -> str:
    """A hint: the known name that is most like `name`, or all of them when none is and they are few."""
    listed = sorted(known)
    close = get_close_matches(name, listed, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    more = f" and {len(listed) - 20} more" if len(listed) > 20 else ""
    return f"known: {', '.join(listed[:20])}{more}" if listed else "none is known"


def shown(value: object, most: int = 60) -> str:
    """`value` as a reader of a diagnostic should see it: short, on one line."""
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
