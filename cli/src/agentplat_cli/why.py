"""`agentplat why`: why a task stands where it stands."""

from __future__ import annotations

from dataclasses import asdict

from agentplat.runtime.cli.options import DatabaseUrl, Json
from agentplat_cli.options import Url
from agentplat_cli.session import call
from agentplat_cli.tasks import TaskArgument, task_id_of


def why(task: TaskArgument, url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False) -> None:
    """Say why a task stands where it stands: what it waits for, what holds it back, how it ended."""
    from agentplat_cli.output import Printer, plain

    task_id = task_id_of(task)
    found = call(url, database_url, lambda tasks: tasks.why(task_id))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        printer.line(asdict(found))
        return
    printer.say(plain(found.sentence))
    for step in found.steps:
        printer.say(plain(f"  {step.path} ({step.code}): {step.sentence}", "dim"))
