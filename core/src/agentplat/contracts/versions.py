"""Workflows as files, and the versions of them that tasks are worked on by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

_LINE = re.compile(r"(.*?):(\d+):(\d+): (\w+): (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """What is wrong with a document, for programs; for people it is one line."""

    file: str
    line: int  # from 1, as the column
    column: int
    code: str  # stable
    detail: str  # with what to write instead, if that is known

    @staticmethod
    def read(line: str) -> Diagnostic:
        """The parts of such a line."""
        found = _LINE.fullmatch(line)
        if found is None:
            return Diagnostic(file="", line=1, column=1, code="unreadable", detail=line)
        file, at, column, code, detail = found.groups()
        return Diagnostic(file=file, line=int(at), column=int(column), code=code, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFile:
    """A workflow's file as it is now, and what is made of it."""

    name: str
    text: str
    text_hash: str  # SHA-256 of the text: what a change of the file has to name
    hash: str | None  # of the version that new tasks are worked on by; None: the file was never valid
    diagnostics: Sequence[str]  # what is wrong with the text; if there is a version, the last good one is in use
    is_ours: bool  # it lies in the project's folder; others are installed, and stay as they are


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowVersion:
    """One version: the workflow's normal form, and that of the prompt-only agents that it names."""

    hash: str
    version: str | None  # what the document calls itself
    since: datetime | None  # when it was first put or given to a task; None: never yet
    is_current: bool  # new tasks are worked on by it
