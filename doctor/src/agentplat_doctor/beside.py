"""A second process that reads the same file of SQLite, as it is at the same moment.

A thread would use the other core as well, but all threads of a process share the lock of SQLite's allocator: two of
them spend half as much again for the same answers. Run as a module it is that process.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from subprocess import PIPE, Popen
from typing import IO, Any

from sqlalchemy import Connection

from agentplat.domain.errors import StoreUnavailable
from agentplat.store.address import Address
from agentplat_doctor.asking import Rows, Unit, answer
from agentplat_doctor.snapshot import begin_anew, reading

_TRIES = 20
"""So often both begin anew when somebody wrote between the one and the other."""


class Beside:
    """The process, for the one that asks it. One thread at a time."""

    def __init__(self, orders: IO[bytes], answers: IO[bytes]) -> None:
        self._orders, self._answers = orders, answers

    def begin_anew(self) -> None:
        """Let it see the file as it is now."""
        self._call(None)

    def answer(self, unit: Unit) -> Sequence[Rows]:
        """What `asking.answer` returns and raises. StoreUnavailable when the process has ended."""
        found: Sequence[Rows] = self._call(unit)
        return found

    def _call(self, order: Unit | None) -> Any:
        try:
            pickle.dump(order, self._orders)
            self._orders.flush()
            answered = pickle.load(self._answers)  # noqa: S301 - by our own process
        except (OSError, EOFError) as error:
            raise StoreUnavailable(
                "A process that read the database with this one has ended before it answered. Look for what ended it, "
                "such as too little memory, and begin again."
            ) from error
        if isinstance(answered, Exception):
            raise answered
        return answered


@contextmanager
def beside(address: Address, first: Connection) -> Iterator[Beside | None]:
    """The process, which sees what `first` sees. None where somebody writes all the time, and the two never meet."""
    command = [sys.executable, "-P", "-m", "agentplat_doctor.beside", f"sqlite://{address.rest}"]
    # A session of its own: an interrupt is for the one who asks, and ends this one with it.
    with Popen(command, stdin=PIPE, stdout=PIPE, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            second = Beside(process.stdin, process.stdout)
            yield second if _meet(first, second) else None
        finally:
            process.kill()  # it only reads
            with suppress(OSError):
                process.stdin.close()  # orders that it did not take are no matter


def _meet(first: Connection, second: Beside) -> bool:
    """Whether nobody wrote while they began: SQLite has no snapshot that can be shared."""
    # Not a connection of SQLAlchemy's: it would be in a transaction, and notice nothing.
    with closing(first.engine.raw_connection()) as witness:
        version = witness.cursor()
        for _ in range(_TRIES):
            before = version.execute("PRAGMA data_version").fetchone()
            begin_anew(first)
            second.begin_anew()
            if version.execute("PRAGMA data_version").fetchone() == before:
                return True
    return False


def _serve(url: str) -> None:
    """Answer what comes in, until nothing more can come."""
    with reading(Address.parse(url)) as connection:
        while True:
            try:
                order: Unit | None = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that began this one
            except EOFError:
                return
            try:
                answered: object = None
                if order is None:
                    begin_anew(connection)
                else:
                    answered = answer(connection, order)
            except Exception as error:  # noqa: BLE001 - whoever asked raises it
                answered = error
            pickle.dump(answered, sys.stdout.buffer)
            sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
