"""Transactions as scripts: what is said to the database, and what is made of its answers, without any waiting.

A script is a generator. It yields rounds of statements, each of which goes to the database at once, and gets their
rows. How they are carried out is the business of `postgres.py` and `sqlite.py`: there a round is a pipeline, here the
whole script is a single call of a thread. The hot path is made of scripts; everything else is SQLAlchemy Core.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias, TypeVar

from agentplat.store.address import Dialect
from agentplat.store.statements import statement

_NAME = re.compile(r"(?<!:):([a-z_]+)")

Answers: TypeAlias = Sequence[Sequence[Any]]
"""The rows of each statement of a round, with their columns as attributes; empty for a statement that gives none."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The statement of `sql/<name>.sql` with its parameters.

    With `columns` it is carried out for each of `rows` at once; on PostgreSQL those parameters are arrays then.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[Any, ...]] = ()


@dataclass(frozen=True, slots=True)
class Round:
    """Statements that go to the database together. The last round ends with the transaction committed.

    A guarded one is the whole transaction and begins with a statement that may break it off. Then nothing of it was
    kept, the script is thrown Guarded, and goes on with other rounds.
    """

    statements: Sequence[Bound]
    last: bool = False
    guarded: bool = False


class Guarded(Exception):
    """A guarded round was broken off by its own first statement."""


T = TypeVar("T")
Script: TypeAlias = Generator[Round, Answers, T]
"""Ends with what it returns, after its last round."""


def bound(name: str, **values: Any) -> Bound:
    """The statement `name` with its parameters."""
    return Bound(name, values)


def for_each(name: str, columns: str, rows: Sequence[tuple[Any, ...]], **values: Any) -> list[Bound]:
    """The statement `name` for each row, whose members are named by `columns`; none when there is no row."""
    return [Bound(name, values, tuple(columns.split()), rows)] if rows else []


@cache
def with_places(name: str, dialect: Dialect) -> str:
    """The statement with places for its values: `?` for each mention of one, on PostgreSQL `$1` for the first name."""
    if dialect == "sqlite":
        # Not `?1`: several versions of Python take that for a name, and warn of values that come without one.
        return _NAME.sub("?", statement(name, dialect))
    numbers = {parameter: number for number, parameter in enumerate(parameters(name), start=1)}
    return _NAME.sub(lambda found: f"${numbers[found[1]]}", statement(name, dialect))


@cache
def parameters(name: str) -> tuple[str, ...]:
    """The names of the statement's parameters on PostgreSQL, in the order of their numbers."""
    return tuple(dict.fromkeys(mentions(name, "postgresql")))


@cache
def mentions(name: str, dialect: Dialect) -> tuple[str, ...]:
    """The statement's parameters by name, each as often as it is mentioned, in order: the values for its places."""
    return tuple(_NAME.findall(statement(name, dialect)))


def columns_of(bound: Bound) -> Mapping[str, Any]:
    """The parameters with a list for each column: the form for `unnest`."""
    if not bound.columns:
        return bound.values
    return {**bound.values, **dict(zip(bound.columns, map(list, zip(*bound.rows, strict=True)), strict=True))}
