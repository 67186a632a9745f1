"""A wire to PostgreSQL that breaks when a test says so, in every way in which wires break.

It reads what goes through it: a commit can be cut at each of its bytes.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from agentplat_testkit.between import Between
from agentplat_testkit.wire import Message, Messages, Transactions

__all__ = ["ACKNOWLEDGEMENT_BYTES", "COMMIT_BYTES", "Fault", "Relay"]

COMMIT_BYTES = 37
"""The longest form of a COMMIT: the four messages that psycopg makes of it in a pipeline. Outside, it has 12."""

ACKNOWLEDGEMENT_BYTES = 18
"""What a server answers to it: that it committed, and that it is ready."""

_PIECE = 65536
_NARROW_PIECE = 64
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST, and forget what was not sent


class Fault(StrEnum):
    COMMIT_CUT = "commit_cut"
    ACKNOWLEDGEMENT_CUT = "acknowledgement_cut"
    RESET = "reset"
    HALF_OPEN = "half_open"
    BLACK_HOLE = "black_hole"
    DELAY = "delay"
    THROTTLE = "throttle"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class _Armed:
    """A fault that strikes once, at the first connection that fits."""

    fault: Fault
    at: int = 0
    of: str = ""
    then: Callable[[], None] = lambda: None

    def fits(self, statement: str | None, committed: Sequence[str] | None) -> bool:
        """`statement`: what is carried out; `committed`: what the commit is about that begins, None if none does."""
        if self.fault in (Fault.COMMIT_CUT, Fault.ACKNOWLEDGEMENT_CUT):
            return committed is not None and any(self.of in said for said in committed)
        # As a word: a transaction that begins READ COMMITTED is no COMMIT.
        return not self.of or (statement is not None and bool(re.search(rf"\b{re.escape(self.of)}(?!\w)", statement)))


@dataclass(frozen=True, slots=True)
class _Weather:
    """What holds for every connection until it is mended."""

    fault: Fault | None = None
    pace: float = 0.0  # seconds before each piece


class Relay(Between):
    """Passes everything on to the PostgreSQL at `upstream`; `url` is the address of the same database behind it.

    `struck` counts how often each fault took effect, not how often it was ordered.
    """

    def __init__(self, upstream: str, *, heard: Callable[[Message], None] = lambda message: None) -> None:
        """`heard` is told every message of every client, in the relay's thread."""
        super().__init__(upstream)
        self.heard = heard
        self._links: set[_Link] = set()
        self._armed: _Armed | None = None
        self.weather = _Weather()
        self.struck: Counter[Fault] = Counter()
        self.cut_size = 0  # how long the commit or the answer was that was cut last

    # once

    def cut_commit(self, at: int = 0, *, of: str = "", then: Callable[[], None] = lambda: None) -> None:
        """Cut off the next commit when `at` bytes of it have reached the server, and what it does then is unknown.

        `of` is a part of a statement of that transaction. `then` is called when it struck, before anybody can notice.
        """
        self._armed = _Armed(Fault.COMMIT_CUT, at, of, then)

    def cut_acknowledgement(self, at: int = 0, *, of: str = "", then: Callable[[], None] = lambda: None) -> None:
        """Let the next commit be done, and cut off its answer when `at` bytes of it have reached the client.

        `of` and `then` as for `cut_commit`. A commit that is refused is cut off too, but not counted.
        """
        self._armed = _Armed(Fault.ACKNOWLEDGEMENT_CUT, at, of, then)

    def reset(self, *, of: str = "") -> None:
        """Reset the next connection that says something, in the middle of it. `of` is a part of the statement."""
        self._armed = _Armed(Fault.RESET, of=of)

    def half_open(self, *, of: str = "") -> None:
        """Let the server of the next connection that says something be gone, without a word, until `mend`."""
        self._armed = _Armed(Fault.HALF_OPEN, of=of)

    @property
    def is_armed(self) -> bool:
        """Whether a fault that strikes once has not struck yet."""
        return self._armed is not None

    # until `mend`

    def black_hole(self) -> None:
        """Swallow what anybody says, old connections and new ones. What was swallowed is reset when it is mended."""
        self.weather = _Weather(Fault.BLACK_HOLE)

    def slow_down(self, seconds: float) -> None:
        """Hold back every piece, in both directions, for so long."""
        self.weather = _Weather(Fault.DELAY, seconds)

    def narrow(self, bytes_per_second: float) -> None:
        """Let so much through in a second, in each direction of each connection, in small pieces."""
        self.weather = _Weather(Fault.THROTTLE, _NARROW_PIECE / bytes_per_second)

    def refuse(self) -> None:
        """Throw everybody out, and let nobody in."""
        self.weather = _Weather(Fault.REFUSAL)
        self.soon(self._refuse_all)

    def mend(self) -> None:
        """Be a good wire from now on. Connections that were swallowed do not come back: they are reset."""
        self._armed, self.weather = None, _Weather()
        self.soon(self._break_silence)

    # all below runs in the relay's thread

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self.weather.fault is Fault.REFUSAL:
            self.struck[Fault.REFUSAL] += 1
            _reset(to_client)
            return
        link = _Link(self, client, to_client)
        self._links.add(link)
        try:
            await link.serve()
        finally:
            self._links.remove(link)

    def _refuse_all(self) -> None:
        self.struck[Fault.REFUSAL] += self.throw_out()

    def _break_silence(self) -> None:
        for link in self._links:
            link.break_silence()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server itself."""
        host = str(self.upstream.query.get("host") or self.upstream.host or "localhost")
        port = int(str(self.upstream.query.get("port") or self.upstream.port or 5432))
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    def take(self, message: Message, statement: str | None, committed: Sequence[str] | None) -> _Armed | None:
        """The fault that strikes with this message of a client, if one does. It is not armed any more then."""
        armed = self._armed
        if armed is None or not message.kind or not armed.fits(statement, committed):
            return None
        self._armed = None
        return armed


class _Link:
    """One client, and its own connection to the server."""

    def __init__(self, relay: Relay, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._relay = relay
        self._client, self._to_client = client, to_client
        self._asked, self._answered = Messages(from_client=True), Messages(from_client=False)
        self._transactions = Transactions()
        self._is_silent = False
        self._mended = asyncio.Event()
        self._cut_answer: _Armed | None = None

    async def serve(self) -> None:
        """Return when the connection is over, by itself or by a fault."""
        with suppress(OSError):  # the server is away, or one of the two has hung up
            self._server, self._to_server = await self._relay.connect()
            try:
                await self._pass_on()
            finally:
                self._to_server.transport.abort()

    async def _pass_on(self) -> None:
        for writer in (self._to_client, self._to_server):
            writer.transport.set_write_buffer_limits(0)  # so that drained means sent
        pumping = [asyncio.create_task(self._ask()), asyncio.create_task(self._answer())]
        try:
            await asyncio.wait(pumping, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in pumping:
                each.cancel()
            ended = await asyncio.gather(*pumping, return_exceptions=True)
        for fault in ended:
            if isinstance(fault, Exception):
                raise fault

    def break_silence(self) -> None:
        if self._is_silent:
            self._mended.set()
            _reset(self._to_client)

    async def _ask(self) -> None:
        """From the client to the server."""
        while messages := await self._next_asked():
            if self._is_swallowed():
                continue
            whole = b""
            for number, message in enumerate(messages):
                commits = self._transactions.commits(message)
                statement = self._transactions.statement(message)
                armed = self._relay.take(message, statement, self._transactions.committed if commits else None)
                if armed is None:
                    whole += message.raw
                    continue
                await self._forward(self._to_server, whole)
                if await self._strike(armed, messages[number:]):
                    return
                whole = b""
                break
            await self._forward(self._to_server, whole)
        if self._is_silent:
            await self._mended.wait()  # whoever is silent says no farewell either

    async def _next_asked(self) -> list[Message]:
        """What the client says next, in whole messages; nothing when it has hung up."""
        while piece := await self._client.read(_PIECE):
            if messages := list(self._asked.add(piece)):
                for message in messages:
                    self._relay.heard(message)
                return messages
        return []

    async def _strike(self, armed: _Armed, messages: list[Message]) -> bool:
        """Whether the connection is over with it. `messages` begin with the one that is struck."""
        struck = self._relay.struck
        match armed.fault:
            case Fault.HALF_OPEN:
                struck[armed.fault] += 1
                self._is_silent = True
                self._to_server.transport.abort()
                return False
            case Fault.RESET:
                struck[armed.fault] += 1
                await self._forward(self._to_server, messages[0].raw[: len(messages[0].raw) // 2])
                _reset(self._to_client)
                return True
            case Fault.COMMIT_CUT:
                asked = await self._up_to_its_end(messages)
                self._relay.cut_size = len(asked)
                struck[armed.fault] += 1
                await self._forward(self._to_server, asked[: armed.at])
                armed.then()
                return True
            case _:
                self._cut_answer = armed
                await self._forward(self._to_server, await self._up_to_its_end(messages))
                return False

    async def _up_to_its_end(self, messages: list[Message]) -> bytes:
        """All that the client says until it waits for an answer."""
        asked = b""
        while messages:
            asked += b"".join(message.raw for message in messages)
            if messages[-1].kind in ("Q", "S", "H"):
                break
            messages = await self._next_asked()
        return asked

    async def _answer(self) -> None:
        """From the server to the client."""
        held: list[Message] = []  # of the answer that is to be cut
        while piece := await self._server.read(_PIECE):
            messages = list(self._answered.add(piece))
            if self._is_swallowed():
                continue
            if self._cut_answer is not None:
                held += messages
                if any(message.kind == "Z" for message in messages):
                    await self._cut(self._cut_answer, held)
                    return
                continue
            await self._forward(self._to_client, b"".join(message.raw for message in messages))
        if self._is_silent:
            await self._mended.wait()

    async def _cut(self, armed: _Armed, answer: Sequence[Message]) -> None:
        """Let the client hear the answer up to its last result, and `at` bytes from there on."""
        results = [number for number, message in enumerate(answer) if message.kind == "C"]
        last = results[-1] if results else 0
        before = b"".join(message.raw for message in answer[:last])
        rest = b"".join(message.raw for message in answer[last:])
        self._relay.cut_size = len(rest)
        if not any(message.kind == "E" for message in answer):
            self._relay.struck[armed.fault] += 1
        armed.then()
        await self._forward(self._to_client, before + rest[: armed.at])

    def _is_swallowed(self) -> bool:
        if not self._is_silent and self._relay.weather.fault is Fault.BLACK_HOLE:
            self._relay.struck[Fault.BLACK_HOLE] += 1
            self._is_silent = True
        return self._is_silent

    async def _forward(self, writer: asyncio.StreamWriter, whole: bytes) -> None:
        while whole:
            weather = self._relay.weather
            size = _NARROW_PIECE if weather.fault is Fault.THROTTLE else len(whole)
            if weather.fault is not None and weather.pace:
                self._relay.struck[weather.fault] += 1
                await asyncio.sleep(weather.pace)
            writer.write(whole[:size])
            await writer.drain()
            whole = whole[size:]


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close it by RST; what was not sent is forgotten."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
