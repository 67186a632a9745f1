"""`agentplat run`: submit one task, wait for it, print what came of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentplat import InputRejected, JsonObject, JsonValue, Submission, TaskState
from agentplat.runtime.cli.options import DatabaseUrl, Json
from agentplat_cli.options import Url

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentplat import JournalView, TaskView
    from agentplat_cli.output import Printer
    from agentplat_cli.session import Session


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
    submission = Submission(type=type, input=read_input(input), user=user, tenant=tenant)
    raise typer.Exit(asyncio.run(_run(submission, url, database_url, watch, json_lines)))


def read_input(text: str) -> JsonObject:
    """The JSON object in `text`, or in the file that `@file` names. InputRejected for anything else."""
    return read_object(text, "--input")


def read_object(text: str, option: str) -> JsonObject:
    """The same of another option."""
    value = read_json(text, option)
    if not isinstance(value, dict):
        raise InputRejected(option, [("", 'is not a JSON object, such as {"topic": "..."}')])
    return value


def read_json(text: str, option: str) -> JsonValue:
    """The JSON value in `text`, or in the file that `@file` names. InputRejected, of `option`, for anything else."""
    source = text
    if text.startswith("@"):
        try:
            source = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputRejected(option, [("", f"names a file that cannot be read: {error}")]) from None
    try:
        value: JsonValue = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise InputRejected(option, [("", f"is not JSON: {error}")]) from None
    return value


async def _run(submission: Submission, url: str | None, database_url: str | None, watch: bool, json_lines: bool) -> int:
    from agentplat_cli.output import Printer
    from agentplat_cli.session import connected

    printer = Printer(json_lines=json_lines)
    async with connected(url, database_url, works=True) as session:
        task = await session.tasks.submit(submission)
        task = await awaited(session, task, printer, happened=printer.event if watch else None)
        printer.task(task)
    return exit_code(task)


async def awaited(
    session: Session, task: TaskView, printer: Printer, *, happened: Callable[[JournalView], None] | None
) -> TaskView:
    """The task, once it has ended, with progress on the way; says where it is when the waiting ends before."""
    try:
        with printer.progress(task):
            return await session.finished(task, printer.update, happened)
    except BaseException:
        printer.note(f"The task is kept. Its state: agentplat tasks show {task.id}")
        raise


def exit_code(task: TaskView) -> int:
    """0 for a task that is done, 1 otherwise."""
    return 0 if task.status is TaskState.DONE else 1
