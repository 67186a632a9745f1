"""`agentplat approvals`: list, show, approve, reject."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from agentplat import Answer, ApprovalView, NotFound
from agentplat.runtime.cli.options import DatabaseUrl, Json, command_group
from agentplat_cli.options import Url
from agentplat_cli.session import call
from agentplat_cli.tasks import TaskArgument, task_id_of

app = command_group("List and answer what tasks ask people.")

_Step = Annotated[str | None, typer.Option("--step", help="Which approval, where a task has several open.")]
_Answers = Annotated[str, typer.Option("--answers", help="What the form asks for: JSON, or @file with JSON.")]
_User = Annotated[str | None, typer.Option("--user", help="E-mail of who answers; kept as a hash.")]


@app.command("list")
def list_approvals(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only those of this tenant.")] = None,
    assignee: Annotated[str | None, typer.Option("--assignee", help="Only those for this assignee.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many about at the most.")] = 100,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Open approvals, of the newest tasks first."""
    from agentplat_cli.output import Printer

    found = call(url, database_url, lambda tasks: tasks.approvals(tenant=tenant, assignee=assignee, limit=limit))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        for approval in found:
            printer.line(asdict(approval))
        return
    rows = [(a.task_id, a.path, a.assignee, _until(a), a.message) for a in found]
    printer.table(("task", "step", "assignee", "until (UTC)", "message"), rows, "Nobody is asked anything.")


@app.command()
def show(task: TaskArgument, url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False) -> None:
    """What a task asks, with its forms."""
    task_id = task_id_of(task)
    found = [
        one for one in call(url, database_url, lambda tasks: tasks.approvals(limit=1000)) if one.task_id == task_id
    ]
    if not found:
        raise NotFound(f"Task {task_id} asks nothing, or nothing any more.")
    _say(found, json_lines=json_lines)


@app.command()
def approve(
    task: TaskArgument,
    step: _Step = None,
    answers: _Answers = "{}",
    user: _User = None,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Say yes. The first answer stays."""
    _answer(task, True, step, answers, user, url, database_url, json_lines=json_lines)


@app.command()
def reject(
    task: TaskArgument,
    step: _Step = None,
    answers: _Answers = "{}",
    user: _User = None,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Say no. The form need not be filled in."""
    _answer(task, False, step, answers, user, url, database_url, json_lines=json_lines)


def _answer(
    task: str,
    approved: bool,
    step: str | None,
    answers: str,
    user: str | None,
    url: str | None,
    database_url: str | None,
    *,
    json_lines: bool,
) -> None:
    from agentplat_cli.output import Printer, plain
    from agentplat_cli.run import read_object

    task_id = task_id_of(task)
    given = Answer(approved=approved, path=step, by=user, answers=read_object(answers, "--answers"))
    answered = call(url, database_url, lambda tasks: tasks.answer(task_id, given))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        printer.line({"approved": approved, **asdict(answered)})
    else:
        printer.say(plain(f"{answered.path}: {'approved' if approved else 'rejected'}."))


def _say(found: Sequence[ApprovalView], *, json_lines: bool) -> None:
    from agentplat_cli.output import Printer, plain

    printer = Printer(json_lines=json_lines)
    for approval in found:
        if json_lines:
            printer.line(asdict(approval))
            continue
        printer.say(plain(f"{approval.path}: {approval.message}", "bold"))
        printer.say(plain(f"  for {approval.assignee or 'anybody'}, until {_until(approval) or 'it is answered'}"))
        if approval.form is not None:
            printer.say(plain(json.dumps(approval.form, indent=2, ensure_ascii=False)))


def _until(approval: ApprovalView) -> str | None:
    return f"{approval.until:%Y-%m-%d %H:%M:%S}" if approval.until is not None else None
