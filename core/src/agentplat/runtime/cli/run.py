"""`agentplat run`: submit one task, wait for it, print what came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from agentplat.domain.errors import InputRejected
from agentplat.domain.json import JsonObject
from agentplat.runtime.cli.options import DatabaseUrl, Json, Url

_PAUSE = 0.1
_EXIT_CODES = {"done": 0, "error": 1, "cancelled": 1}


def run(
    type: Annotated[str, typer.Argument(help="workflow:<name>, agent:<name> or tool:<name>.")],
    input: Annotated[str, typer.Option("--input", help="JSON, or @file with JSON.")] = "{}",
    watch: Annotated[bool, typer.Option("--watch", help="Show the events while they happen.")] = False,
    user: Annotated[str | None, typer.Option("--user", help="E-mail to account for; kept as a hash.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Tenant to account for.")] = None,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Submit a task and wait for its end.

    Works on the database of this folder with a worker of its own, or on a running server with --url.
    Exit code: 0 done, 1 error or cancelled, 2 wrong use.
    """
    given = read_input(input)
    status = asyncio.run(_run(type, given, user, tenant, url, database_url, watch, json_lines))
    raise typer.Exit(_EXIT_CODES.get(status, 1))


def read_input(text: str) -> JsonObject:
    """The JSON object in `text`, or in the file that `@file` names. InputRejected for anything else."""
    source = text
    if text.startswith("@"):
        try:
            source = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputRejected("--input", [("", f"names a file that cannot be read: {error}")]) from None
    try:
        value = json.loads(source)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputRejected("--input", [("", f"is not JSON: {error}")]) from None
    if not isinstance(value, dict):
        raise InputRejected("--input", [("", 'is not a JSON object, such as {"topic": "..."}')])
    return value


async def _run(
    type: str,
    given: JsonObject,
    user: str | None,
    tenant: str | None,
    url: str | None,
    database_url: str | None,
    watch: bool,
    json_lines: bool,
) -> str:
    from agentplat.contracts.interface import Submission
    from agentplat.runtime.cli.output import Printer

    printer = Printer(json_lines=json_lines)
    async with connected(url, database_url, works=True) as client:
        submission = Submission(type=type, input=given, user=user, tenant=tenant)
        task = await client.submit(submission)
        seq = 0
        with printer.progress(task):
            while True:
                if watch:
                    for event in await client.journal(task.id, seq):
                        printer.event(event)
                        seq = event.seq
                task = await client.task(task.id)
                if task.status.is_terminal:
                    break
                printer.update(task)
                await asyncio.sleep(_PAUSE)
        if watch:
            for event in await client.journal(task.id, seq):
                printer.event(event)
        printer.task(task)
        return str(task.status.value)


@asynccontextmanager
async def connected(url: str | None, database_url: str | None, *, works: bool) -> AsyncIterator[Any]:
    """A Client: of the server at `url`, or of the database; with `works`, a worker is there for that time."""
    if url is not None:
        from agentplat.runtime.cli.remote import RemoteClient

        async with RemoteClient(url) as remote:
            yield remote
        return
    from agentplat.runtime.app import open_platform
    from agentplat.runtime.cli.serve import absolute_url, start_worker, stop_worker
    from agentplat.runtime.logs import configure_logs
    from agentplat.runtime.settings import load_settings

    settings = load_settings(database_url=database_url)
    configure_logs(settings.log.model_copy(update={"level": "error"}))
    async with open_platform(settings) as platform:
        variables = {"AGENTPLAT_LOG__LEVEL": "error", "AGENTPLAT_WORKER__POLL_SECONDS": "0.1"}
        keeper = await start_worker(absolute_url(settings), settings.project, **variables) if works else None
        try:
            yield platform.client()
        finally:
            if keeper is not None:
                await stop_worker(keeper)
