"""Tools that do next to nothing, and count that they did it."""

from __future__ import annotations

import asyncio
import os
from functools import cache
from typing import Any

from harness.tally import Tally
from pydantic import BaseModel

from agentplat import Effect, Tool, ToolContext


class Index(BaseModel):
    """Which task it is."""

    i: int


class Value(BaseModel):
    v: int


@cache
def _tally() -> Tally:
    return Tally.attached()


class Noop(Tool[Index, Value]):
    """Gives back its index."""

    name = "bench_noop"
    effect = Effect.PURE

    async def execute(self, input: Index, ctx: ToolContext) -> Value:  # noqa: ARG002 - the contract's signature
        """The index."""
        _tally().hit()
        return Value(v=input.i)


class Mark(Tool[Index, Value]):
    """Writes down when it began."""

    name = "bench_mark"
    effect = Effect.PURE

    async def execute(self, input: Index, ctx: ToolContext) -> Value:  # noqa: ARG002 - the contract's signature
        """The index."""
        _tally().mark(input.i)
        _tally().hit()
        return Value(v=input.i)


class Step(Tool[Value, Value]):
    """Adds one."""

    name = "bench_step"
    effect = Effect.PURE

    async def execute(self, input: Value, ctx: ToolContext) -> Value:  # noqa: ARG002 - the contract's signature
        """The next value."""
        _tally().hit()
        return Value(v=input.v + 1)


class Sleep(Tool[Index, Value]):
    """Sleeps for a second."""

    name = "bench_sleep"
    effect = Effect.PURE

    async def execute(self, input: Index, ctx: ToolContext) -> Value:  # noqa: ARG002 - the contract's signature
        """The index, a second later."""
        _tally().hit()
        await asyncio.sleep(1)
        return Value(v=input.i)


class Listen(Tool[Index, Value]):
    """Waits for a byte on a connection of its own, as one that asks a model does."""

    name = "bench_listen"
    effect = Effect.READS

    async def execute(self, input: Index, ctx: ToolContext) -> Value:  # noqa: ARG002 - the contract's signature
        """The index, when the byte has come."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["BENCH_LISTEN_PORT"]))
        _tally().hit()
        await reader.readexactly(1)
        writer.close()
        return Value(v=input.i)


KINDS: tuple[type[Tool[Any, Any]], ...] = (Noop, Mark, Step, Sleep, Listen)
