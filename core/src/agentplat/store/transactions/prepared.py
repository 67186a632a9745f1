"""The statements of `sql/*.sql`, with the types of their parameters and columns."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from sqlalchemy import Boolean, TextClause, Uuid, bindparam, text
from sqlalchemy.sql.selectable import TextualSelect
from sqlalchemy.types import TypeEngine

from agentplat.store.address import Dialect
from agentplat.store.columns import Ids, Instant
from agentplat.store.database import Transaction
from agentplat.store.statements import statement

_PARAMETERS: dict[str, TypeEngine[Any]] = {
    "blame": Uuid(),
    "claim_id": Uuid(),
    "task_id": Uuid(),
    "task_ids": Ids(),
    "worker_id": Uuid(),
}
_COLUMNS: dict[str, TypeEngine[Any]] = {
    "id": Uuid(),
    "now": Instant(),
    "ready": Boolean(),
    "run_at": Instant(),
    "suspect": Boolean(),
    "task_id": Uuid(),
    "under_way": Boolean(),
    "wake": Boolean(),
    "worker_id": Uuid(),
}


@cache
def prepared(name: str, dialect: Dialect) -> TextClause | TextualSelect:
    """The statement, ready to be executed with its parameters by name."""
    clause = text(statement(name, dialect))
    names = set(re.findall(r"(?<!:):([a-z_]+)", clause.text))
    known = [bindparam(parameter, type_=kind) for parameter, kind in _PARAMETERS.items() if parameter in names]
    clause = clause.bindparams(*known)
    gives_rows = clause.text.startswith("SELECT") or "RETURNING" in clause.text
    return clause.columns(**_COLUMNS) if gives_rows else clause


def dialect_of(transaction: Transaction) -> Dialect:
    """Which database the transaction is on."""
    return "sqlite" if transaction.connection.dialect.name == "sqlite" else "postgresql"
