"""Hints: that there may be something new, so that nobody has to look again and again. The truth is always a look.

Within a process they are plain calls. Between processes PostgreSQL carries them as notifications, sent beside the
transactions that they are about; on SQLite the file itself shows that somebody wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from agentplat.contracts.hints import Hint

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
        self._quiet_until = 0.0  # by the loop's clock: the last message was sent a moment ago

    def subscribe(self, hear: Hear) -> Callable[[], None]:
        """`hear` is called for every hint from now on, until what this returns is called."""
        self._hearing.add(hear)
        return lambda: self._hearing.discard(hear)

    def give(self, *hints: Hint) -> None:
        """Tell this process now, and the others soon."""
        self.heard(hints)
        if self._send is None:
            return
        self._unsent.update(hints)
        self._unsent.discard(Hint.TIMER)
        if self._unsent and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send_all(self._send))

    def ride(self, hints: Iterable[Hint]) -> str | None:
        """The message of these hints, for whoever sends it right behind the transaction that they are about.

        None while the last message is a moment old, and where nobody else is told: then `give` has to be called.
        """
        message = _message(hints)
        now = asyncio.get_running_loop().time()
        if self._send is None or not message or now < self._quiet_until or self._unsent:
            return None
        self._quiet_until = now + _DEBOUNCE
        return message

    def heard(self, hints: Iterable[Hint]) -> None:
        """Tell this process."""
        for hint in hints:
            for hear in tuple(self._hearing):
                hear(hint)

    async def _send_all(self, send: Callable[[str], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        while self._unsent:
            if (wait := self._quiet_until - loop.time()) > 0:
                await asyncio.sleep(wait)
            message, self._unsent = _message(self._unsent), set()
            self._quiet_until = loop.time() + _DEBOUNCE
            try:
                await send(message)
            except Exception:  # noqa: BLE001 - a hint that nobody hears costs a moment, and nothing else
                return

    async def aclose(self) -> None:
        """Send what is not sent yet, if that takes no time: who submits and ends must not leave workers unaware."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=_LAST_WORDS)
            self._sending.cancel()


def _message(hints: Iterable[Hint]) -> str:
    return ",".join(sorted(hint for hint in set(hints) if hint is not Hint.TIMER))


def parsed(message: str) -> list[Hint]:
    """The hints of a message; what a newer version says is passed over."""
    known = {hint.value: hint for hint in Hint}
    return [known[word] for word in message.split(",") if word in known]
