"""Loops that outlive their own faults: whatever one of them raises is logged, and after a pause it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

from agentplat import telemetry

Loop: TypeAlias = Callable[[], Awaitable[None]]
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0


@asynccontextmanager
async def beside(loops: Mapping[str, Loop], ended: Callable[[str], None]) -> AsyncIterator[None]:
    """The loops run until this is left. `ended` is told of one that ends before, which no fault of its own can do."""
    tasks = [asyncio.create_task(go_on(name, loop), name=name) for name, loop in loops.items()]
    look = partial(_look, ended)
    for task in tasks:
        task.add_done_callback(look)
    try:
        yield
    finally:
        for task in tasks:
            task.remove_done_callback(look)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _look(ended: Callable[[str], None], task: asyncio.Task[None]) -> None:
    telemetry.log.error(telemetry.LOOP_ENDED, loop=task.get_name())
    ended(task.get_name())


async def go_on(name: str, loop: Loop) -> None:
    """Run the loop until cancelled; begin it anew, after a pause, when it fails or returns.

    Each kind of fault is logged with its traceback once. Then a line says that it is there again.
    """
    known: set[tuple[str, str]] = set()
    pause = _FIRST_PAUSE
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        try:
            await loop()
        except Exception as error:  # noqa: BLE001  # one row that cannot be read must not end what looks after all others
            kind = (type(error).__name__, _place(error))
            said = {"loop": name, "error": kind[0], "place": kind[1]}
            telemetry.log.error(telemetry.LOOP_BROKE, **said, exc_info=kind not in known)
            known.add(kind)
        if clock() - began > _LONGEST_PAUSE:
            pause = _FIRST_PAUSE
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _place(error: Exception) -> str:
    """Where it was raised: two faults of one type are not one."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
