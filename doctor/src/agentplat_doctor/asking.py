"""What is asked at a time, and what a connection answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from agentplat.store.address import Dialect
from agentplat_doctor.predicates import UNREADABLE
from agentplat_doctor.questions import Question, Statement, counted, sieve
from agentplat_doctor.snapshot import is_unreadable, said_by

Rows: TypeAlias = Sequence[tuple[str, str, int]]
"""Of each predicate that does not hold a few examples, each with how many there are in all."""

Answered: TypeAlias = tuple[Sequence[str], Sequence[tuple[Any, ...]]]
"""The names of the columns, and the rows."""

_NOBODY = "[]"


@dataclass(frozen=True, slots=True)
class Unit:
    """Questions, and the values of their parameters. `sieved`: only about the tasks that the sieve picks."""

    questions: Sequence[Question]
    values: Mapping[str, Any]
    sieved: bool = False


class Reader(Protocol):
    """Answers statements, all as of one moment. One thread at a time."""

    @property
    def dialect(self) -> Dialect: ...

    def ask(self, statement: Statement, values: Mapping[str, Any]) -> Answered:
        """Raises DBAPIError, after which it may be asked again."""


@dataclass(frozen=True, slots=True)
class Connected:
    """Reads by a connection of this process."""

    connection: Connection

    @property
    def dialect(self) -> Dialect:
        return "sqlite" if self.connection.dialect.name == "sqlite" else "postgresql"

    def ask(self, statement: Statement, values: Mapping[str, Any]) -> Answered:
        """See Reader."""
        with self.connection.begin_nested():
            found = self.connection.execute(statement.clause, values)
            return list(found.keys()), [tuple(row) for row in found]


def answer(reader: Reader, unit: Unit) -> Sequence[Rows]:
    """What the questions find, each. Raises DBAPIError when it is not what is kept that is at fault."""
    if unit.sieved:
        return _ask_about_some(reader, unit)
    return [_ask(reader, question, unit.values) for question in unit.questions]


def _ask_about_some(reader: Reader, unit: Unit) -> Sequence[Rows]:
    """Each question about those tasks only that the sieve has picked for it, or about all where it cannot tell."""
    statement = sieve()
    try:
        columns, [row] = reader.ask(statement, {name: unit.values[name] for name in statement.parameters})
        picked: Mapping[str, Any] = dict(zip(columns, row, strict=True))
    except DBAPIError as error:
        if not is_unreadable(error):
            raise
        picked = {}  # the questions are to say what cannot be read, and what is wrong elsewhere
    if not picked.get("complete"):
        return [_ask(reader, question, unit.values) for question in unit.questions]
    return [
        _ask(reader, question, {**unit.values, "picked": picked[question.name]})
        for question in unit.questions
        if picked[question.name] != _NOBODY
    ]


def _ask(reader: Reader, question: Question, given: Mapping[str, Any]) -> Rows:
    statement = counted(question, reader.dialect, picked="picked" in given)
    try:
        _, found = reader.ask(statement, {name: given[name] for name in statement.parameters})
    except DBAPIError as error:
        if is_unreadable(error):
            return [(UNREADABLE, f"{question.name}: {said_by(error)}", 1)]
        raise
    return [(code, _shown(example), total) for code, example, total in found]


def _shown(example: str) -> str:
    """Ids in the form in which everything else shows them; SQLite keeps them without dashes."""
    try:
        return str(UUID(example))
    except ValueError:
        return example
