"""SQL beside the store: to spoil what it would never write, and to see what it does not show."""

import sqlite3
from contextlib import closing
from typing import Any

import psycopg

from agentplat.store.address import Address


def execute(url: str, statement: str, **parameters: Any) -> list[Any]:
    """Runs one statement, written for PostgreSQL with `:name` parameters; ids are given as text."""
    address = Address.parse(url)
    if address.file is not None:
        with closing(sqlite3.connect(address.file)) as connection, connection:
            plain = {
                name: str(value).replace("-", "") if name.endswith("id") else value
                for name, value in parameters.items()
            }
            return connection.execute(statement.replace("agentplat.", ""), plain).fetchall()
    for name in parameters:
        statement = statement.replace(f":{name}", f"%({name})s")
    with psycopg.connect(address.libpq, autocommit=True) as session:
        cursor = session.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []
