"""Fresh databases for tests, on both backends, cloned from a template that was migrated once."""

import itertools
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from agentplat_testkit.pooler import pooled

__all__ = ["Migrate", "PostgresDatabases", "SqliteDatabases"]

Migrate = Callable[[str], object]
"""Brings the empty database at a SQLAlchemy address up to date, and returns with no connection left open."""


class PostgresDatabases:
    """Makes databases on one PostgreSQL server, and removes them."""

    def __init__(self, server_url: str, pooler: str | None = None) -> None:
        """Make them on the server at this SQLAlchemy address, whose user may create databases.

        `pooler`: each is reached through one of that kind, see `pooled`; it is made and removed past it.
        """
        self._pooler = pooler
        self._server = make_url(server_url).set(drivername="postgresql+psycopg")
        # Several test processes may share a server, so names are unique beyond this process.
        self._names = (f"agentplat_test_{uuid.uuid4().hex[:12]}_{n}" for n in itertools.count(1))
        self._templates: dict[Migrate, str] = {}

    @contextmanager
    def fresh(self, migrate: Migrate | None = None) -> Iterator[str]:
        """The address of a new database: a clone of what `migrate` makes, else empty."""
        name = self._created(self._template(migrate) if migrate else "template0")
        try:
            with nullcontext(self._url(name)) if self._pooler is None else pooled(self._url(name), self._pooler) as url:
                yield url
        finally:
            self._dropped(name)

    def close(self) -> None:
        """Remove the templates."""
        for name in self._templates.values():
            self._dropped(name)
        self._templates.clear()

    def _template(self, migrate: Migrate) -> str:
        if migrate not in self._templates:
            name = self._created("template0")
            migrate(self._url(name))
            self._templates[migrate] = name
        return self._templates[migrate]

    def _created(self, template: str) -> str:
        name = next(self._names)
        # WAL_LOG copies a small template in steady time; the other way forces a checkpoint.
        self._execute("CREATE DATABASE {} TEMPLATE {} STRATEGY WAL_LOG", name, template)
        return name

    def _dropped(self, name: str) -> None:
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _execute(self, statement: LiteralString, *names: str) -> None:
        address = self._server.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _url(self, name: str) -> str:
        return self._server.set(database=name).render_as_string(hide_password=False)


class SqliteDatabases:
    """Makes database files in a folder; the folder's owner removes them."""

    def __init__(self, folder: Path) -> None:
        """Make them in this folder."""
        self._folder = folder
        self._numbers = itertools.count(1)
        self._templates: dict[Migrate, Path] = {}

    def fresh(self, migrate: Migrate | None = None) -> str:
        """The address of a new database file: a copy of what `migrate` makes, else not made yet."""
        path = self._path()
        if migrate:
            shutil.copyfile(self._template(migrate), path)
        return _sqlite_url(path)

    def _template(self, migrate: Migrate) -> Path:
        if migrate not in self._templates:
            path = self._path()
            migrate(_sqlite_url(path))
            left_open = path.with_name(f"{path.name}-wal")
            if left_open.exists() and left_open.stat().st_size:
                raise RuntimeError(f"{migrate!r} left a connection open: part of the template is not in its file.")
            self._templates[migrate] = path
        return self._templates[migrate]

    def _path(self) -> Path:
        return self._folder / f"agentplat-{next(self._numbers)}.db"


def _sqlite_url(path: Path) -> str:
    return URL.create("sqlite+aiosqlite", database=str(path)).render_as_string(hide_password=False)
