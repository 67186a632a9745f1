"""The worker proper, as the keeper starts it: `python -m agentplat.runtime.worker_main <id> <memory fd> <pipe fd>`.

A spare is the same process: it loads everything, and then waits for the word to begin, without a connection to the
database.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from uuid import UUID

from agentplat import telemetry
from agentplat.domain.errors import AgentplatError, SchemaOutdated, UnavailableError, UsageError
from agentplat.domain.ids import WorkerId
from agentplat.runtime.app import Platform, open_platform
from agentplat.runtime.beside.loops import Loop, beside
from agentplat.runtime.bodies import Bodies
from agentplat.runtime.keeper import WRONG_SETTINGS
from agentplat.runtime.lifeline import Lifeline, die_with_parent, die_with_pipe
from agentplat.runtime.logs import configure_logs
from agentplat.runtime.settings import load_settings
from agentplat.runtime.sweeper import sweep_forever, upkeep_forever
from agentplat.runtime.watch import Watcher
from agentplat.runtime.worker import Worker
from agentplat.runtime.worker_state import WorkerOptions


async def work(platform: Platform, worker_id: WorkerId, lifeline: Lifeline) -> None:
    """Work until SIGTERM, then drain."""
    settings = platform.settings.worker
    bodies = Bodies(lambda: platform.registries, platform.settings, lifeline)
    worker = Worker(
        platform.store,
        lambda: platform.registries,
        platform.definitions,
        bodies.run,
        Watcher(platform.plugins.observers),
        options=WorkerOptions(
            queues=settings.queues,
            concurrency=settings.concurrency,
            lease_seconds=settings.lease_seconds,
            poll_seconds=settings.poll_seconds,
            drain_seconds=settings.drain_seconds,
        ),
        plugins={record.name: record.version for record in platform.plugins.records},
        worker_id=worker_id,
        on_registered=lifeline.registered,
        decides=lifeline.decides,
    )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.stop)
    platform.plugins.observers.process_started("worker")
    if settings.metrics_port is not None:
        telemetry.serve_metrics(settings.metrics_port)
    loops: dict[str, Loop] = {
        "sweeper": lambda: sweep_forever(platform.store, platform.scheduler()),
        "listen": platform.store.listen,
        "upkeep": lambda: upkeep_forever(platform.store, platform.settings.retention.kept),
    }
    if platform.settings.reload:
        loops["reload"] = platform.follow
    ended: list[str] = []

    def stop(loop: str) -> None:
        ended.append(loop)
        worker.stop()

    async with beside(loops, stop):
        await worker.serve()
    if ended:
        raise UnavailableError(f"The loop {ended[0]!r} of this worker is over, so another has to begin.")


class _Outdated(Exception):
    """What this spare was started with is not what a worker would start with now."""


async def _main(worker_id: UUID, lifeline: Lifeline, needed: threading.Event) -> None:
    settings = load_settings()

    async def until_needed(platform: Platform) -> None:
        _give_back_memory()
        if needed.is_set():
            return
        await asyncio.to_thread(needed.wait)
        if not platform.is_current or load_settings() != settings:
            raise _Outdated

    async with open_platform(settings, before_opening=until_needed) as platform:
        # What is loaded now stays. Looking through all of it again and again for garbage, of which a step leaves
        # little, took a tenth of a busy worker's time.
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        # A thread that comes back from SQLite's code, or a plain tool's, waits so long for a busy event loop to step
        # aside. The default is ten times as much, and a commit comes back a dozen times.
        sys.setswitchinterval(0.0005)
        await work(platform, WorkerId(worker_id), lifeline)


def _give_back_memory() -> None:
    """What loading took and needs no more, some 5 MB: glibc would keep it as long as the process lives."""
    if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:  # other C libraries have no such call
        trim(0)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A faster event loop, where uvloop is installed (the extra `fast`)."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def main(arguments: list[str]) -> int:
    """0 after a drain, WRONG_SETTINGS when another start would not help, 1 otherwise."""
    worker_id, memory, alive = arguments
    needed = threading.Event()
    die_with_parent()
    die_with_pipe(int(alive), needed.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the keeper decides
    try:
        configure_logs(load_settings().log)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            try:
                runner.run(_main(UUID(worker_id), Lifeline(int(memory)), needed))
            except SystemExit:
                # Of foreign code, in a task of its own, where only the loop hears of it. It is no drain, whatever it
                # says, and so this process is as one that was killed: nothing is waited for.
                print("agentplat worker: code of a task asked for the end of the process", file=sys.stderr, flush=True)  # noqa: T201
                os._exit(1)
    except _Outdated:
        print("agentplat worker: settings or files have changed since this spare was started", file=sys.stderr)  # noqa: T201
        return 1
    except AgentplatError as error:
        print(f"agentplat worker: {error.detail}", file=sys.stderr)  # noqa: T201
        return WRONG_SETTINGS if isinstance(error, UsageError | SchemaOutdated) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
