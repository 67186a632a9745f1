"""A second process that reads the same file of SQLite, as it is at the same moment.

A thread would use the other core as well, but all threads of a process share the lock of SQLite's allocator: two of
them spend half as much again for the same answers.
"""

from __future__ import annotations

import pickle
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from agentplat.domain.errors import StoreUnavailable
from agentplat.store.address import Dialect
from agentplat.store.sqlite import file_value
from agentplat_doctor.asking import Answered
from agentplat_doctor.questions import Statement
from agentplat_doctor.snapshot import FIRST, ONE_ROW, begin_anew, place

_PROGRAM = Path(__file__).with_name("second.py")
_TRIES = 20
"""So often both begin anew when somebody wrote between the one and the other."""


class Beside:
    """The process, for the one that asks it: a Reader. One thread at a time."""

    dialect: Dialect = "sqlite"

    def __init__(self, orders: IO[bytes], answers: IO[bytes]) -> None:
        self._orders, self._answers = orders, answers

    def meet(self, first: Connection) -> bool:
        """Whether nobody wrote while both began anew: SQLite has no snapshot that can be shared."""
        # Not a connection of SQLAlchemy's: it would be in a transaction, and notice nothing.
        with closing(first.engine.raw_connection()) as witness:
            version = witness.cursor()
            for statement in (*FIRST, "BEGIN"):
                self._call(statement)
            for _ in range(_TRIES):
                before = version.execute("PRAGMA data_version").fetchone()
                begin_anew(first)
                for statement in ("ROLLBACK", "BEGIN", ONE_ROW):
                    self._call(statement)
                if version.execute("PRAGMA data_version").fetchone() == before:
                    return True
        return False

    def ask(self, statement: Statement, values: Mapping[str, Any]) -> Answered:
        """What a Reader returns and raises. StoreUnavailable when the process has ended."""
        return self._call(statement.clause.text, {name: file_value(value) for name, value in values.items()})

    def _call(self, statement: str, values: Mapping[str, Any] | None = None) -> Answered:
        try:
            pickle.dump((statement, values or {}), self._orders)
            self._orders.flush()
            answered: Answered | sqlite3.Error = pickle.load(self._answers)  # noqa: S301 - by our own process
        except (OSError, EOFError) as error:
            raise StoreUnavailable(
                "A process that read the database with this one has ended before it answered. Look for what ended it, "
                "such as too little memory, and begin again."
            ) from error
        if isinstance(answered, sqlite3.Error):
            raise DBAPIError(None, None, answered)
        return answered


@contextmanager
def beside(file: Path) -> Iterator[Beside]:
    """The process, which begins at once, and sees `file` from `meet` on."""
    # Isolated and without site: it needs nothing of the environment, and is there in a fraction of the time.
    command = [sys.executable, "-I", "-S", str(_PROGRAM), place(file)]
    # A session of its own: an interrupt is for the one who asks, and ends this one with it.
    with Popen(command, stdin=PIPE, stdout=PIPE, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Beside(process.stdin, process.stdout)
        finally:
            process.kill()  # it only reads
            with suppress(OSError):
                process.stdin.close()  # orders that it did not take are no matter
