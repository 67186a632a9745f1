"""`agentplat tasks`: list, show, cancel, retry."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

import typer

from agentplat.domain.errors import InputRejected
from agentplat.runtime.cli.options import DatabaseUrl, Json, Url
from agentplat.runtime.cli.run import connected

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="List, show, cancel and retry tasks.",
)

TaskArgument = Annotated[str, typer.Argument(help="The task's id.")]


@app.command("list")
def list_tasks(
    status: Annotated[str | None, typer.Option("--status", help="Only tasks of this status.")] = None,
    type: Annotated[str | None, typer.Option("--type", help="Only tasks of this type.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at the most.")] = 20,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """The newest tasks first."""
    from agentplat.contracts.interface import TaskFilter
    from agentplat.domain.task import TaskState
    from agentplat.runtime.cli.output import Printer, cost_text, task_json

    if status is not None and status not in tuple(TaskState):
        raise InputRejected("--status", [("", f"is {status!r}, not one of {', '.join(TaskState)}")])
    wanted = TaskFilter(status=TaskState(status) if status else None, type=type, limit=limit)
    tasks = asyncio.run(_call(url, database_url, lambda client: client.tasks(wanted)))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        for task in tasks:
            printer.line(task_json(task))
        return
    rows = [(t.id, t.type, t.status.value, f"{t.created_at:%Y-%m-%d %H:%M:%S}", cost_text(t.usage.cost)) for t in tasks]
    printer.table(("id", "type", "status", "created (UTC)", "cost"), rows, "No task yet. `agentplat run` makes one.")


@app.command()
def show(
    task: TaskArgument,
    journal: Annotated[bool, typer.Option("--journal", help="All events, in place of the summary.")] = False,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """One task with its steps."""
    from agentplat.runtime.cli.output import Printer

    printer = Printer(json_lines=json_lines)
    if journal:
        for event in asyncio.run(_call(url, database_url, lambda client: client.journal(_id(task)))):
            printer.event(event)
        return
    printer.task(asyncio.run(_call(url, database_url, lambda client: client.task(_id(task)))))


@app.command()
def cancel(task: TaskArgument, url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False) -> None:
    """Cancel a task: at once if it has not started, otherwise its worker ends what runs."""
    _print(asyncio.run(_call(url, database_url, lambda client: client.cancel(_id(task)))), json_lines)


@app.command()
def retry(task: TaskArgument, url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False) -> None:
    """Submit a task that has ended once more, as a new task."""
    _print(asyncio.run(_call(url, database_url, lambda client: client.retry(_id(task)))), json_lines)


def _print(task: Any, json_lines: bool) -> None:
    from agentplat.runtime.cli.output import Printer

    Printer(json_lines=json_lines).task(task)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InputRejected("The task's id", [("", f"{text!r} is not a UUID")]) from None


async def _call(url: str | None, database_url: str | None, call: Any) -> Any:
    async with connected(url, database_url, works=False) as client:
        return await call(client)
