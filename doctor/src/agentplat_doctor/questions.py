"""Reads `sql/*.sql`: each file asks one question in one statement, and answers it with a row per thing that is wrong.

A row has the code of a predicate and the id of what it does not hold for. A file begins with a comment that states the
question, the parameters and how it is asked; what follows each further comment is the promise that the next SELECT
looks after. The statements are written for PostgreSQL in the dialect that `agentplat.store.statements` describes.
Lines that end with `-- picked` are for tasks that `sql/sieve_sqlite.sql` has picked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import TextClause, Uuid, bindparam, text

from agentplat.store.address import Dialect
from agentplat.store.columns import Instant

EXAMPLES = 5

_FOLDER = Path(__file__).parent / "sql"
_CODE = re.compile(r"SELECT '(\w+)'")
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")
_IDS = ("low", "high")
_MOMENTS = ("soon", "minute_ago", "long_ago")
# DISTINCT: a task with three gaps is one task.
_COUNTED = """
SELECT code, id, total FROM (
    SELECT code, id, count(*) OVER (PARTITION BY code) AS total,
           row_number() OVER (PARTITION BY code ORDER BY id) AS place
    FROM (SELECT DISTINCT code, CAST(id AS text) AS id FROM ({statement}) AS broken) AS things
) AS placed
WHERE place <= {examples}
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL, and the names of its parameters."""

    clause: TextClause
    parameters: Sequence[str]


@dataclass(frozen=True, slots=True)
class Question:
    """One statement. `sliced`: asked for one range of task ids after the other. `sieved`: on SQLite, of some."""

    name: str
    sliced: bool = False
    sieved: bool = False
    dialect: Dialect | None = None  # None: on both databases


QUESTIONS: Sequence[Question] = (
    # Those that read a whole table first: they take longest, and the slices of the others fill the time beside them.
    Question("audit"),
    Question("submissions"),
    Question("limits"),
    Question("schedules"),
    Question("tasks"),
    Question("inbox"),
    Question("operation"),
    Question("operation_postgresql", dialect="postgresql"),
    Question("operation_sqlite", dialect="sqlite"),
    Question("journal", sliced=True, sieved=True),
    Question("steps", sliced=True, sieved=True),
    Question("children", sliced=True, sieved=True),
    Question("queue", sliced=True),
)


def asked_on(dialect: Dialect) -> Sequence[Question]:
    """The questions that make sense on that database."""
    return [question for question in QUESTIONS if question.dialect in (None, dialect)]


def codes(question: Question) -> Sequence[str]:
    """The predicates that a question is about."""
    return list(dict.fromkeys(_CODE.findall(_source(question.name))))


@cache
def counted(question: Question, dialect: Dialect, picked: bool = False) -> Statement:
    """The statement that gives `code`, `id` and `total`: for each predicate a few rows, in the order of the ids."""
    return _statement(_COUNTED.format(statement=_kept(question.name, dialect, picked), examples=EXAMPLES))


@cache
def sieve() -> Statement:
    """The statement that gives one row for a slice on SQLite: what to look at, as JSON by the names of questions."""
    return _statement(_kept("sieve_sqlite", "sqlite"))


def _kept(name: str, dialect: Dialect, picked: bool = False) -> str:
    others = ("-- postgresql" if dialect == "sqlite" else "-- sqlite", *(() if picked else ("-- picked",)))
    lines = (line.rstrip() for line in _source(name).splitlines())
    kept = [line.partition("--")[0].rstrip() for line in lines if not line.endswith(others)]
    statement = "\n".join(line for line in kept if line)
    return statement.replace("agentplat.", "") if dialect == "sqlite" else statement


def _statement(statement: str) -> Statement:
    types = {name: Uuid() for name in _IDS} | {name: Instant() for name in _MOMENTS}
    names = list(dict.fromkeys(_PARAMETER.findall(statement)))
    return Statement(text(statement).bindparams(*(bindparam(name, type_=types.get(name)) for name in names)), names)


def _source(name: str) -> str:
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
