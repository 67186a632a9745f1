"""`agentplat api`, `worker` and `dev`: the processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from agentplat.runtime.cli.options import DatabaseUrl, Host, Port


def api(host: Host = None, port: Port = None, database_url: DatabaseUrl = None) -> None:
    """Serve the installed interfaces: REST at /, and whatever else is installed."""
    from agentplat.runtime.logs import configure_logs
    from agentplat.runtime.settings import load_settings

    settings = load_settings(host=host, port=port, database_url=database_url)
    configure_logs(settings.log)
    asyncio.run(_serve(settings, with_worker=False))


def worker(
    database_url: DatabaseUrl = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", help="Tasks owned at a time.")] = None,
) -> None:
    """Work on tasks. This process keeps the lease; a child process does the work, and is replaced when it dies."""
    from agentplat.runtime.keeper import Keeper, KeeperOptions
    from agentplat.runtime.lifeline import die_with_parent
    from agentplat.runtime.logs import configure_logs
    from agentplat.runtime.settings import load_settings
    from agentplat.store.renewal import Renewal

    settings = load_settings(database_url=database_url)
    configure_logs(settings.log)
    if database_url is not None:
        os.environ["AGENTPLAT_DATABASE_URL"] = database_url
    if concurrency is not None:
        os.environ["AGENTPLAT_WORKER__CONCURRENCY"] = str(concurrency)
    if os.environ.get(PARENT_VARIABLE):
        die_with_parent()
    keeper = Keeper(
        [sys.executable, "-m", "agentplat.runtime.worker_main"],
        lambda: Renewal(settings.database_url),
        KeeperOptions(
            lease_seconds=settings.worker.lease_seconds,
            renew_seconds=settings.worker.renew_seconds,
            drain_seconds=settings.worker.drain_seconds,
        ),
    )
    signal.signal(signal.SIGTERM, keeper.stop)
    signal.signal(signal.SIGINT, keeper.stop)
    signal.signal(signal.SIGHUP, keeper.reload)
    raise typer.Exit(keeper.serve())


def dev(host: Host = None, port: Port = None, database_url: DatabaseUrl = None) -> None:
    """Everything for one machine: interfaces and a worker, on SQLite unless told otherwise.

    Workflows, agents and tools of the project's folder are read again when their files change.
    """
    from agentplat.runtime.logs import configure_logs
    from agentplat.runtime.settings import load_settings

    settings = load_settings(host=host, port=port, database_url=database_url)
    configure_logs(settings.log)
    asyncio.run(_serve(settings, with_worker=True))


PARENT_VARIABLE = "AGENTPLAT_DIE_WITH_PARENT"
"""Set for a worker that belongs to another command (`dev`, `run`, `demo`), and must not outlive it."""


async def start_worker(database_url: str, project: Path, **variables: str) -> asyncio.subprocess.Process:
    """A keeper with its worker, in a session of its own, that ends with this process."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agentplat.runtime.cli",
        "worker",
        env={
            **os.environ,
            "AGENTPLAT_DATABASE_URL": database_url,
            "AGENTPLAT_PROJECT": str(project),
            PARENT_VARIABLE: "1",
            **variables,
        },
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


async def stop_worker(process: asyncio.subprocess.Process) -> None:
    """Let it drain; what does not end in time ends with this process."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def _serve(settings: Any, *, with_worker: bool) -> None:
    from agentplat.runtime.app import open_platform
    from agentplat.runtime.serve import compose, require_loopback, uvicorn_server
    from agentplat.runtime.sweeper import sweep_forever

    require_loopback(settings.host)
    async with open_platform(settings) as platform:
        server = uvicorn_server(
            compose(platform.registries, platform.client(development=True)), settings.host, settings.port
        )
        platform.plugins.observers.process_started("api")
        background = [asyncio.create_task(sweep_forever(platform.store), name="sweeper")]
        keeper = await start_worker(absolute_url(settings), settings.project) if with_worker else None
        if with_worker:
            background.append(asyncio.create_task(_reload(platform, keeper), name="reload"))
            _greet(settings)
        try:
            await server.serve()
        finally:
            for task in background:
                task.cancel()
            if keeper is not None:
                await stop_worker(keeper)


def absolute_url(settings: Any) -> str:
    """The database's URL as a process in another folder would have to say it."""
    file = settings.sqlite_file
    return f"sqlite:///{file}" if file is not None else str(settings.database_url)


def _greet(settings: Any) -> None:
    typer.echo(f"agentplat is at http://{settings.host}:{settings.port} (docs: /docs). Ctrl-C stops it.", err=True)


async def _reload(platform: Any, keeper: Any) -> None:
    """Read the project again when its files change; the worker starts anew, and goes on where it was."""
    from watchfiles import awatch

    folder: Path = platform.settings.project
    watched = [folder / name for name in ("agents", "tools", "workflows", "agents.yaml", "tools.yaml")]
    async for _ in awatch(folder, watch_filter=lambda _, path: any(Path(path).is_relative_to(w) for w in watched)):
        platform.reload()
        typer.echo("The project's files changed; they were read again.", err=True)
        keeper.send_signal(signal.SIGHUP)
