"""What is asked at a time, and what a connection answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from agentplat_doctor.predicates import UNREADABLE
from agentplat_doctor.questions import Question, counted, sieve
from agentplat_doctor.snapshot import is_unreadable, said_by

Rows: TypeAlias = Sequence[tuple[str, str, int]]
"""Of each predicate that does not hold a few examples, each with how many there are in all."""

_NOBODY = "[]"


@dataclass(frozen=True, slots=True)
class Unit:
    """Questions, and the values of their parameters. `sieved`: only about the tasks that the sieve picks."""

    questions: Sequence[Question]
    values: Mapping[str, Any]
    sieved: bool = False


def answer(connection: Connection, unit: Unit) -> Sequence[Rows]:
    """What the questions find, each. Raises DBAPIError when it is not what is kept that is at fault."""
    if unit.sieved:
        return _ask_about_some(connection, unit)
    return [_ask(connection, question, unit.values) for question in unit.questions]


def _ask_about_some(connection: Connection, unit: Unit) -> Sequence[Rows]:
    """Each question about those tasks only that the sieve has picked for it, or about all where it cannot tell."""
    statement = sieve()
    values = {name: unit.values[name] for name in statement.parameters}
    try:
        with connection.begin_nested():
            picked: Mapping[str, Any] = connection.execute(statement.clause, values).one()._asdict()
    except DBAPIError as error:
        if not is_unreadable(error):
            raise
        picked = {}  # the questions are to say what cannot be read, and what is wrong elsewhere
    if not picked.get("complete"):
        return [_ask(connection, question, unit.values) for question in unit.questions]
    return [
        _ask(connection, question, {**unit.values, "picked": picked[question.name]})
        for question in unit.questions
        if picked[question.name] != _NOBODY
    ]


def _ask(connection: Connection, question: Question, given: Mapping[str, Any]) -> Rows:
    dialect = "sqlite" if connection.dialect.name == "sqlite" else "postgresql"
    statement = counted(question, dialect, picked="picked" in given)
    values = {name: given[name] for name in statement.parameters}
    try:
        with connection.begin_nested():
            return [
                (code, _shown(example), total) for code, example, total in connection.execute(statement.clause, values)
            ]
    except DBAPIError as error:
        if is_unreadable(error):
            return [(UNREADABLE, f"{question.name}: {said_by(error)}", 1)]
        raise


def _shown(example: str) -> str:
    """Ids in the form in which everything else shows them; SQLite keeps them without dashes."""
    try:
        return str(UUID(example))
    except ValueError:
        return example
