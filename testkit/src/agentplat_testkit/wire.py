"""PostgreSQL's wire protocol, as much of it as has to be read to stand between a client and its server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Message", "Messages", "Transactions"]

_WRITES = re.compile(r"\b(insert|update|delete|merge)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of either side. `kind` is its letter; the first one of a client has none."""

    kind: str
    body: bytes
    raw: bytes

    @property
    def statement(self) -> str | None:
        """The SQL that a client sends, to be executed or prepared; None for any other message."""
        match self.kind:
            case "Q":
                return self.body.rstrip(b"\0").decode()
            case "P":
                return self.body.split(b"\0", 2)[1].decode()
            case _:
                return None

    @property
    def prepared_name(self) -> str | None:
        """The name of the statement that a client prepares or uses; empty for the one that has none."""
        match self.kind:
            case "P":
                return self.body.split(b"\0", 1)[0].decode()
            case "B":
                return self.body.split(b"\0", 2)[1].decode()
            case _:
                return None

    @property
    def startup_parameters(self) -> dict[str, str]:
        """What a client asks of the session that it opens."""
        if self.kind or len(self.body) < 8:
            return {}
        words = self.body[4:].rstrip(b"\0").decode().split("\0")
        return dict(zip(words[::2], words[1::2], strict=False))


class Messages:
    """Cuts one direction of an unencrypted connection into its messages."""

    def __init__(self, *, from_client: bool) -> None:
        self._kept = b""
        self._is_first = from_client

    def add(self, piece: bytes) -> Iterator[Message]:
        """The messages that are whole with `piece`."""
        self._kept += piece
        while True:
            header = 4 if self._is_first else 5
            if len(self._kept) < header:
                return
            size = int.from_bytes(self._kept[header - 4 : header], "big") + header - 4
            if len(self._kept) < size:
                return
            raw, self._kept = self._kept[:size], self._kept[size:]
            yield Message("" if self._is_first else chr(raw[0]), raw[header:], raw)
            self._is_first = False


class Transactions:
    """Follows what one client says, to know by which of its messages the server commits.

    That is a COMMIT, or the end of what was written outside of a transaction: then it needs none.
    """

    def __init__(self) -> None:
        self._prepared: dict[str, str] = {}
        self._in_block = False
        self._said: list[str] = []
        self.committed: list[str] = []

    def statement(self, message: Message) -> str | None:
        """The SQL that is carried out by this message, if it was prepared by another one too."""
        name = message.prepared_name
        if message.kind == "P":
            self._prepared[name or ""] = message.statement or ""
            return None
        return message.statement if name is None else self._prepared.get(name, "")

    def commits(self, message: Message) -> bool:
        """Whether the commit begins with this message. `committed` then has the statements that it is about."""
        statement = self.statement(message)
        if statement is not None and self._is_commit(statement):
            return True
        return message.kind in ("Q", "S") and self._ends_alone()

    def _is_commit(self, statement: str) -> bool:
        match statement.strip("; \n").split(None, 1)[0].upper() if statement.strip("; \n") else "":
            case "BEGIN" | "START":
                self._in_block, self._said = True, []
            case "COMMIT" | "END" if self._in_block:
                self._in_block = False
                self.committed, self._said = self._said, []
                return True
            case "ROLLBACK" | "ABORT":
                self._in_block, self._said = False, []
            case _:
                self._said.append(statement)
        return False

    def _ends_alone(self) -> bool:
        """Whether what was said since the last end is a transaction of its own, and writes."""
        if self._in_block:
            return False
        self.committed, self._said = self._said, []
        return any(_WRITES.search(statement) for statement in self.committed)
