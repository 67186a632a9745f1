"""`agentplat schedules`: list, show, put, delete, pause, resume, backfill."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from agentplat import Backfilled, Schedule, ScheduleView
from agentplat.runtime.cli.options import DatabaseUrl, Json, command_group
from agentplat_cli.options import Url
from agentplat_cli.session import call

if TYPE_CHECKING:
    from agentplat_cli.output import Printer

app = command_group("List, put, pause and backfill what runs by itself.")

Name = Annotated[str, typer.Argument(help="The schedule.")]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose it is.")]
_TIME = "%Y-%m-%d %H:%M:%S"


@app.command("list")
def list_schedules(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Default: all of them.")] = None,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """All schedules, and when they are due next."""
    from agentplat_cli.output import Printer

    found = call(url, database_url, lambda tasks: tasks.schedules.all(tenant))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        for view in found:
            printer.line(_json(view))
        return
    heads = ("tenant", "name", "workflow", "cron", "timezone", "next (UTC)", "last (UTC)", "fault")
    empty = "No schedule yet. `agentplat schedules put` puts one, and so does the key `schedule` of a workflow."
    printer.table(heads, [_cells(view) for view in found], empty)


@app.command("show")
def show(
    name: Name, tenant: Tenant = "default", url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False
) -> None:
    """One schedule, with its next five times."""
    _print(call(url, database_url, lambda tasks: tasks.schedules.one(name, tenant)), json_lines=json_lines)


@app.command("put")
def put(
    name: Name,
    workflow: Annotated[str, typer.Argument(help="What is submitted.")],
    cron: Annotated[str, typer.Argument(help="minute, hour, day of month, month, day of week.")],
    timezone: Annotated[str, typer.Option("--timezone", help="Such as Europe/Copenhagen.")] = "UTC",
    given: Annotated[str, typer.Option("--input", help="The input, a JSON object.")] = "{}",
    catch_up: Annotated[str, typer.Option("--catch-up", help="Of missed times: skip, last or all.")] = "skip",
    limit: Annotated[int, typer.Option("--catch-up-limit", help="With `all`: the newest so many.")] = 100,
    tenant: Tenant = "default",
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Put a schedule, in place of what was set. One that is paused stays paused."""
    schedule = Schedule(
        name=name,
        target=workflow,
        cron=cron,
        timezone=timezone,
        input=_object(given),
        catch_up=cast("Any", catch_up),
        catch_up_limit=limit,
        tenant=tenant,
    )
    _print(call(url, database_url, lambda tasks: tasks.schedules.put(schedule)), json_lines=json_lines)


@app.command("delete")
def delete(
    name: Name, tenant: Tenant = "default", url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False
) -> None:
    """Delete a schedule. Its tasks stay."""
    from agentplat_cli.output import Printer, plain

    call(url, database_url, lambda tasks: tasks.schedules.remove(name, tenant))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        printer.line({"tenant": tenant, "name": name, "schedule": "deleted"})
    else:
        printer.say(plain(f"The schedule {name} is deleted."))


@app.command("pause")
def pause(
    name: Name, tenant: Tenant = "default", url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False
) -> None:
    """Pause a schedule. What runs goes on."""
    _print(call(url, database_url, lambda tasks: tasks.schedules.pause(name, tenant)), json_lines=json_lines)


@app.command("resume")
def resume(
    name: Name, tenant: Tenant = "default", url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False
) -> None:
    """Resume a schedule, from its next time on."""
    _print(call(url, database_url, lambda tasks: tasks.schedules.resume(name, tenant)), json_lines=json_lines)


@app.command("backfill")
def backfill(
    name: Name,
    since: Annotated[str, typer.Option("--from", help="The first time that counts, such as 2026-03-01T00:00Z.")],
    until: Annotated[str, typer.Option("--to", help="The last time that counts.")],
    quote: Annotated[bool, typer.Option("--dry-run", help="Make nothing: say which times it would be.")] = False,
    tenant: Tenant = "default",
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Make up for due times of the past. A time that made its task makes no other one."""
    from agentplat_cli.output import Printer, plain

    first, last = _moment(since, "--from"), _moment(until, "--to")
    found = call(
        url,
        database_url,
        lambda tasks: tasks.schedules.backfill(name, first, last, tenant=tenant, quote=quote),
    )
    printer = Printer(json_lines=json_lines)
    if json_lines:
        for each in found:
            printer.line(dataclasses.asdict(each))
        return
    rows = [(f"{each.at:{_TIME}}", each.task_id, _became(each, quote=quote)) for each in found]
    printer.table(("due (UTC)", "task", ""), rows, "It was not due in that time.")
    if quote and found:
        printer.note(plain("Nothing was made."))


def _became(each: Backfilled, *, quote: bool) -> str:
    if each.created:
        return "made"
    return "would be made" if quote and each.task_id is None else "was there"


def _moment(text: str, option: str) -> datetime:
    from agentplat import InputRejected

    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InputRejected(option, [("", f"{text!r} is no time: write 2026-03-01T07:00:00Z")]) from None


def _object(text: str) -> dict[str, Any]:
    import json

    from agentplat import InputRejected

    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputRejected("--input", [("", f"is no JSON: {error}")]) from None
    if not isinstance(value, dict):
        raise InputRejected("--input", [("", "is not an object")])
    return value


def _print(view: ScheduleView, *, json_lines: bool) -> None:
    from agentplat_cli.output import Printer, plain

    printer = Printer(json_lines=json_lines)
    if json_lines:
        printer.line(_json(view))
        return
    schedule, fault = view.schedule, view.fault
    whose = "" if schedule.tenant == "default" else f" of {schedule.tenant}"
    printer.say(plain(f"{schedule.name}{whose}: workflow {schedule.target} at {schedule.cron} ({schedule.timezone})"))
    _times(view, printer)
    if fault is not None:
        printer.say(plain(f"The time {fault.at:{_TIME}} made no task: {fault.code}: {fault.detail}", "red"))


def _times(view: ScheduleView, printer: Printer) -> None:
    from agentplat_cli.output import plain

    if view.paused:
        printer.say(plain("It is paused."))
    for at in view.upcoming:
        printer.say(plain(f"  next {at:{_TIME}} UTC"))
    if view.last_at is not None:
        task = f", task {view.last_task_id}" if view.last_task_id else ""
        printer.say(plain(f"  last {view.last_at:{_TIME}} UTC{task}"))


def _cells(view: ScheduleView) -> tuple[object, ...]:
    schedule = view.schedule
    due = "paused" if view.next_at is None else f"{view.next_at:{_TIME}}"
    last = f"{view.last_at:{_TIME}}" if view.last_at else None
    times = (schedule.cron, schedule.timezone, due, last)
    return schedule.tenant, schedule.name, schedule.target, *times, view.fault.code if view.fault else None


def _json(view: ScheduleView) -> dict[str, Any]:
    found = dataclasses.asdict(view)
    return {**found.pop("schedule"), **found}
