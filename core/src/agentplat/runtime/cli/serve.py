"""`agentplat api`, `worker` and `dev`: the processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentplat.domain.errors import UnavailableError
from agentplat.runtime.cli.options import DatabaseUrl, Host, Port

if TYPE_CHECKING:
    from agentplat.runtime.beside.loops import Loop
    from agentplat.runtime.cli.own_worker import OwnWorker
    from agentplat.runtime.settings import Settings

_LOOK = 0.25  # seconds between two looks at the worker
_KEEPS_FAILING = 3


def api(host: Host = None, port: Port = None, database_url: DatabaseUrl = None) -> None:
    """Serve the installed interfaces: REST at /, and whatever else is installed."""
    from agentplat.runtime.settings import load_settings

    asyncio.run(_serve(load_settings(host=host, port=port, database_url=database_url), with_worker=False))


def dev(host: Host = None, port: Port = None, database_url: DatabaseUrl = None) -> None:
    """Everything for one machine: interfaces and a worker, on SQLite unless told otherwise.

    Workflows, agents and tools of the project's folder are read again when their files change.
    """
    from agentplat.runtime.settings import load_settings

    settings = load_settings(host=host, port=port, database_url=database_url, reload=True)
    asyncio.run(_serve(settings, with_worker=True))


def worker(
    database_url: DatabaseUrl = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", help="Tasks owned at a time.")] = None,
) -> None:
    """Work on tasks. This process keeps the lease; a child process does the work, and is replaced when it dies."""
    from agentplat.runtime.cli.own_worker import OWNED_VARIABLE
    from agentplat.runtime.keeper import Keeper, KeeperOptions
    from agentplat.runtime.lifeline import die_with_pipe
    from agentplat.runtime.logs import configure_logs
    from agentplat.runtime.settings import load_settings
    from agentplat.store.renewal import Renewal

    is_owned = OWNED_VARIABLE in os.environ
    if is_owned:
        die_with_pipe(sys.stdin.fileno())
    settings = load_settings(database_url=database_url)
    configure_logs(settings.log)
    if database_url is not None:
        os.environ["AGENTPLAT_DATABASE_URL"] = database_url
    if concurrency is not None:
        os.environ["AGENTPLAT_WORKER__CONCURRENCY"] = str(concurrency)
    keeper = Keeper(
        [sys.executable, "-P", "-m", "agentplat.runtime.worker_main"],
        lambda: Renewal(settings.database_url),
        KeeperOptions(
            lease_seconds=settings.worker.lease_seconds,
            renew_seconds=settings.worker.renew_seconds,
            drain_seconds=settings.worker.drain_seconds,
            spare=settings.worker.spare and not is_owned,
            starts=_KEEPS_FAILING if is_owned else None,
        ),
    )
    signal.signal(signal.SIGTERM, keeper.stop)
    signal.signal(signal.SIGINT, keeper.stop)
    raise typer.Exit(keeper.serve())


async def _serve(settings: Settings, *, with_worker: bool) -> None:
    """Serve until a signal says stop, or until something that belongs to it ends."""
    from agentplat.runtime.app import open_platform
    from agentplat.runtime.beside.loops import beside
    from agentplat.runtime.cli.own_worker import OwnWorker
    from agentplat.runtime.logs import configure_logs
    from agentplat.runtime.serve import bound, compose, make_server, require_loopback
    from agentplat.runtime.sweeper import sweep_forever, upkeep_forever

    configure_logs(settings.log)
    require_loopback(settings.host)
    socket, address = bound(settings.host, settings.port)
    async with open_platform(settings) as platform:
        server = make_server(compose(platform.registries, platform.client(development=True)))
        _stop_on_signals(server)
        platform.plugins.observers.process_started("api")
        own = await OwnWorker.start(settings) if with_worker else None
        broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        loops: dict[str, Loop] = {
            "sweeper": lambda: sweep_forever(platform.store, platform.scheduler()),
            "listen": platform.store.listen,
            "upkeep": lambda: upkeep_forever(platform.store, settings.retention.kept),
        }
        if settings.reload:
            loops["reload"] = lambda: platform.follow(_tell)
        parts: list[asyncio.Future[Any]] = [asyncio.create_task(server.serve([socket])), broken]
        if own is not None:
            parts.append(asyncio.create_task(_watch(own)))
        _tell(f"agentplat is at {address} (Ctrl-C stops it). Project: {settings.project}", *platform.faults)
        try:
            async with beside(loops, partial(_break, broken)):
                ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
                server.should_exit = True
                await parts[0]
        finally:
            for part in parts:
                part.cancel()
            if own is not None:
                await own.stop()
        for part in ended:
            part.result()


def _break(broken: asyncio.Future[None], loop: str) -> None:
    if not broken.done():
        broken.set_exception(UnavailableError(f"The loop {loop!r} of this process is over. Start it again."))


def _stop_on_signals(server: Any) -> None:
    """The first one lets open requests end, the second one does not."""

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stop)


async def _watch(own: OwnWorker) -> None:
    while True:
        own.check()
        await asyncio.sleep(_LOOK)


def _tell(*lines: str) -> None:
    for line in lines:
        typer.echo(line, err=True)
