"""A wire to PostgreSQL that can be cut and mended, so that the database is away for one deployment only."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit


class Relay:
    """Listens in `folder` as PostgreSQL does, and passes everything on to the server of `url`."""

    def __init__(self, folder: Path, url: str) -> None:
        parts = urlsplit(url)
        named = parse_qs(parts.query)
        self._upstream = (
            named.get("host", [parts.hostname or "localhost"])[0],
            int(named.get("port", [parts.port or 5432])[0]),
        )
        self._path = folder / ".s.PGSQL.5432"
        self._ends: set[socket.socket] = set()
        self._listening: socket.socket | None = None
        user = f"{parts.username}:{parts.password}" if parts.password else parts.username or ""
        query = urlencode({"host": str(folder), "port": "5432"}, safe="/")
        self.url = urlunsplit((parts.scheme, f"{user}@", parts.path, query, ""))

    def mend(self) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._path.unlink(missing_ok=True)
        self._listening.bind(str(self._path))
        self._listening.listen(200)
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def cut(self) -> None:
        """Nobody comes through, and who was through is thrown out."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for end in list(self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = listening.accept()
                threading.Thread(target=self._pass_on, args=(here,), daemon=True).start()

    def _pass_on(self, here: socket.socket) -> None:
        host, port = self._upstream
        if host.startswith("/"):
            there = socket.socket(socket.AF_UNIX)
            there.connect(f"{host}/.s.PGSQL.{port}")
        else:
            there = socket.create_connection((host, port))
        with here, there, contextlib.suppress(OSError):
            self._ends |= {here, there}
            try:
                for source, target in self._readable(here, there):
                    piece = source.recv(65536)
                    if not piece:
                        return
                    target.sendall(piece)
            finally:
                self._ends -= {here, there}

    @staticmethod
    def _readable(here: socket.socket, there: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
        while True:
            for source in select.select([here, there], [], [])[0]:
                yield source, there if source is here else here
