"""Hints: that there may be something new, so that nobody has to look again and again. The truth is always a look.

Within a process they are plain calls. Between processes PostgreSQL carries them as notifications, sent beside the
transactions that they are about; on SQLite the file itself shows that somebody wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from agentplat.contracts.store import Hint

_DEBOUNCE = 0.01  # seconds between two messages of one process
_LAST_WORDS = 1.0  # seconds for what is still to be sent at the end


Hear = Callable[[Hint], None]


class Hints:
    """The hints of one process. `send` carries some of them, as one message, to the others."""

    def __init__(self, send: Callable[[str], Awaitable[None]] | None = None) -> None:
        self._send = send
        self._hearing: set[Hear] = set()
        self._unsent: set[Hint] = set()
        self._sending: asyncio.Task[None] | None = None

    def subscribe(self, hear: Hear) -> Callable[[], None]:
        """`hear` is called for every hint from now on, until what this returns is called."""
        self._hearing.add(hear)
        return lambda: self._hearing.discard(hear)

    def give(self, *hints: Hint) -> None:
        """Tell this process now, and the others soon."""
        self.heard(hints)
        if self._send is None:
            return
        self._unsent.update(hint for hint in hints if hint is not Hint.TIMER)
        if self._unsent and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send_all(self._send))

    def heard(self, hints: Iterable[Hint]) -> None:
        """Tell this process."""
        for hint in hints:
            for hear in tuple(self._hearing):
                hear(hint)

    async def _send_all(self, send: Callable[[str], Awaitable[None]]) -> None:
        while self._unsent:
            message, self._unsent = ",".join(sorted(self._unsent)), set()
            try:
                await send(message)
            except Exception:  # noqa: BLE001 - a hint that nobody hears costs a moment, and nothing else
                return
            await asyncio.sleep(_DEBOUNCE)

    async def aclose(self) -> None:
        """Send what is not sent yet, if that takes no time: who submits and ends must not leave workers unaware."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_LAST_WORDS)
            self._sending.cancel()


def parsed(message: str) -> list[Hint]:
    """The hints of a message; what a newer version says is passed over."""
    known = {hint.value: hint for hint in Hint}
    return [known[word] for word in message.split(",") if word in known]
