"""`agentplat tasks`: list, show, signal, cancel, retry, fork."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

import typer

from agentplat import InputRejected, JsonValue, Rerun, TaskFilter, TaskState
from agentplat.runtime.cli.options import DatabaseUrl, Json, command_group
from agentplat_cli.options import Url
from agentplat_cli.session import call

app = command_group("List, show, signal, cancel, retry and fork tasks.")

TaskArgument = Annotated[str, typer.Argument(help="The task's id.")]


@app.command("list")
def list_tasks(
    status: Annotated[str | None, typer.Option("--status", help="Only tasks of this status.")] = None,
    type: Annotated[str | None, typer.Option("--type", help="Only tasks of this type.")] = None,
    parent: Annotated[str | None, typer.Option("--parent", help="Only the children of this task.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at the most.")] = 20,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """The newest tasks first."""
    from agentplat_cli.output import Printer, cost_text, task_json

    if status is not None and status not in tuple(TaskState):
        raise InputRejected("--status", [("", f"is {status!r}, not one of {', '.join(TaskState)}")])
    of = task_id_of(parent) if parent is not None else None
    wanted = TaskFilter(status=TaskState(status) if status else None, type=type, parent=of, limit=limit)
    found = call(url, database_url, lambda tasks: tasks.tasks(wanted))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        for task in found:
            printer.line(task_json(task))
        return
    rows = [(t.id, t.status.value, f"{t.created_at:%Y-%m-%d %H:%M:%S}", cost_text(t.usage.cost), t.type) for t in found]
    printer.table(("id", "status", "created (UTC)", "cost", "type"), rows, "No task yet. `agentplat run` makes one.")


@app.command()
def show(
    task: TaskArgument,
    journal: Annotated[bool, typer.Option("--journal", help="All events, in place of the summary.")] = False,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """One task with its steps."""
    from agentplat_cli.output import Printer

    printer, task_id = Printer(json_lines=json_lines), task_id_of(task)
    if journal:
        printer.journal(call(url, database_url, lambda tasks: tasks.journal(task_id)))
    else:
        printer.task(call(url, database_url, lambda tasks: tasks.task(task_id)))


@app.command()
def signal(
    task: TaskArgument,
    name: Annotated[str, typer.Argument(help="The signal's name, as the step that waits for it says.")],
    payload: Annotated[str, typer.Option("--payload", help="JSON, or @file with JSON.")] = "null",
    key: Annotated[str | None, typer.Option("--key", help="Of several signals with one key the first stays.")] = None,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Tell a task what one of its steps waits for, or will wait for."""
    from agentplat_cli.output import Printer, plain
    from agentplat_cli.run import read_json

    task_id, value, given = task_id_of(task), read_json(payload, "--payload"), key or str(uuid4())
    created = call(url, database_url, lambda tasks: tasks.signal(task_id, name, value, given))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        printer.line({"task_id": task_id, "name": name, "key": given, "created": created})
    elif created:
        printer.say(plain(f"The task has the signal {name!r}."))
    else:
        printer.say(plain(f"The task had a signal of the key {given!r} already; that one stays."))


@app.command()
def cancel(task: TaskArgument, url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False) -> None:
    """Cancel a task: at once if it has not started, otherwise its worker ends what runs."""
    from agentplat_cli.output import Printer

    task_id = task_id_of(task)
    Printer(json_lines=json_lines).task(call(url, database_url, lambda tasks: tasks.cancel(task_id)))


_From = Annotated[
    str | None,
    typer.Option("--from", help="The path of a step, as `tasks show` has it: from there on all runs again."),
]
_Newest = Annotated[bool, typer.Option("--newest", help="By the newest version of the workflow.")]
_Quote = Annotated[bool, typer.Option("--dry-run", help="Make nothing: say what would be reused.")]


@app.command()
def retry(
    task: TaskArgument,
    start: _From = None,
    newest: _Newest = False,
    quote: _Quote = False,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Go on where a task has ended, as a new task for the next worker. Nothing that finished runs again."""
    _again(task, Rerun(start=start, newest=newest), url, database_url, fork=False, quote=quote, json_lines=json_lines)


@app.command()
def fork(
    task: TaskArgument,
    start: _From = None,
    input: Annotated[str | None, typer.Option("--input", help="Another input of --from: JSON, or @file.")] = None,
    outputs: Annotated[
        list[str] | None, typer.Option("--output", help="Another output: PATH=JSON, or PATH=@file. Repeatable.")
    ] = None,
    newest: _Newest = False,
    quote: _Quote = False,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Go on from a step of a task, ended or not, with another input or other outputs, as a new task."""
    from agentplat_cli.run import read_input, read_json

    given: dict[str, JsonValue] = {}
    for text in outputs or []:
        path, equals, value = text.partition("=")
        if not equals:
            raise InputRejected("--output", [("", f"{text!r} is not of the form PATH=JSON")])
        given[path] = read_json(value, "--output")
    wanted = Rerun(start=start, input=None if input is None else read_input(input), outputs=given, newest=newest)
    _again(task, wanted, url, database_url, fork=True, quote=quote, json_lines=json_lines)


def _again(
    task: str, wanted: Rerun, url: str | None, database_url: str | None, *, fork: bool, quote: bool, json_lines: bool
) -> None:
    from agentplat_cli.output import Printer

    printer, task_id = Printer(json_lines=json_lines), task_id_of(task)
    if quote:
        printer.reuse(call(url, database_url, lambda tasks: tasks.quote(task_id, wanted, fork=fork)))
    else:
        made = call(url, database_url, lambda tasks: (tasks.fork if fork else tasks.retry)(task_id, wanted))
        printer.task(made)


def task_id_of(text: str) -> UUID:
    """The id. InputRejected for what is none."""
    try:
        return UUID(text)
    except ValueError:
        raise InputRejected("The task's id", [("", f"{text!r} is not a UUID")]) from None
