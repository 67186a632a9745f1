"""A program that says to a file of SQLite what it is told to, and passes on what comes back.

Of the standard library alone, and run as a file: to import SQLAlchemy takes the better part of a second, in which
nobody would use the other core.
"""

from __future__ import annotations

import pickle
import sqlite3
import sys


def serve(uri: str) -> None:
    """Answer what comes in, until nothing more can come."""
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    while True:
        try:
            statement, values = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that began this one
        except EOFError:
            return
        answered: object
        try:
            cursor = connection.execute(statement, values)
            answered = [column[0] for column in cursor.description or ()], cursor.fetchall()
        except sqlite3.Error as error:
            answered = error  # whoever asked raises it
        except Exception as error:  # noqa: BLE001 - he is to hear of it, and not that this has ended
            answered = sqlite3.InterfaceError(f"{type(error).__name__}: {error}")
        pickle.dump(answered, sys.stdout.buffer)
        sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
