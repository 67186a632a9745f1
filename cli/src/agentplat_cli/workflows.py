"""`agentplat workflows`: list, validate, history, diff."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentplat import Diagnostic, UsageError
from agentplat.runtime.cli.options import DatabaseUrl, Json, command_group
from agentplat_cli.options import Url
from agentplat_cli.session import call

if TYPE_CHECKING:
    from agentplat.plugins.registry import Registries

app = command_group("List and validate workflows.")

_NO_STORE: Any = None
"""Workflows are read from files here; no database is asked."""


@app.command("list")
def list_workflows(json_lines: Json = False) -> None:
    """Installed workflows and those of this folder."""
    from agentplat.engine.client.describe import describe_workflows
    from agentplat.engine.definitions import Definitions
    from agentplat_cli.output import Printer

    described = describe_workflows(_registries(), Definitions(_NO_STORE))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        for workflow in described:
            printer.line({"name": workflow.name, "description": workflow.description, **workflow.values})
        return
    rows = [(w.name, w.values.get("strategy") or "invalid", w.description or w.values.get("fault")) for w in described]
    printer.table(("name", "strategy", "description"), rows, "No workflow is installed.")


@app.command()
def validate(
    workflows: Annotated[list[str], typer.Argument(metavar="WORKFLOW...", help="Workflow files, or names.")],
    json_lines: Json = False,
) -> None:
    """Say all faults of workflows, with file, line and column. Exit code 1 when there are any.

    With agentplat-analysis that includes what the schemas of agents and tools tell of a file: paths of expressions that
    lead nowhere, inputs that do not fit, retries of what must not be repeated, clauses of `catch` never reached.
    """
    from agentplat_cli.output import Printer, plain

    printer = Printer(json_lines=json_lines)
    registries, faulty = _registries(), False
    for named in workflows:
        is_name = named in registries.workflows and not Path(named).is_file()
        file = Path(registries.workflows.spec(named).file if is_name else named)
        diagnostics = _faults(registries, file)
        faulty = faulty or bool(diagnostics)
        if json_lines:
            found = [asdict(Diagnostic.read(line)) for line in diagnostics]
            printer.line({"file": str(file), "valid": not found, "diagnostics": found})
        else:
            for line in diagnostics or (f"{file}: valid",):
                printer.say(plain(line))
    raise typer.Exit(1 if faulty else 0)


@app.command()
def history(
    workflow: Annotated[str, typer.Argument(help="A workflow's name.")],
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """The versions that tasks were worked on by, newest first, and the one that the next task gets."""
    from agentplat_cli.output import Printer

    found = call(url, database_url, lambda tasks: tasks.workflow_versions(workflow))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        for version in found:
            printer.line(asdict(version))
        return
    rows = [
        (v.hash[:12], v.version, f"{v.since:%Y-%m-%d %H:%M:%S}" if v.since else None, "current" if v.is_current else "")
        for v in found
    ]
    printer.table(("hash", "version", "since (UTC)", ""), rows, "No version is known.")


@app.command()
def diff(
    workflow: Annotated[str, typer.Argument(help="A workflow's name.")],
    before: Annotated[str | None, typer.Argument(help="The beginning of a hash. Default: the one before.")] = None,
    after: Annotated[str | None, typer.Argument(help="The beginning of a hash. Default: the current one.")] = None,
    url: Url = None,
    database_url: DatabaseUrl = None,
) -> None:
    """What differs between two versions, in their normal forms."""
    from agentplat_cli.output import Printer, plain

    difference = call(url, database_url, lambda tasks: tasks.workflow_diff(workflow, before, after))
    printer = Printer(json_lines=False)
    for line in difference.splitlines():
        printer.say(plain(line, {"+": "green", "-": "red"}.get(line[:1], "")))


def _registries() -> Registries:
    from agentplat.plugins.host import load_plugins
    from agentplat.plugins.project.generation import load_project
    from agentplat.plugins.selection import project_folder, read_selection

    folder = project_folder(os.environ)
    with redirect_stdout(sys.stderr):  # what foreign code prints is no result
        return load_project(folder, load_plugins(read_selection(folder, os.environ)).registries).registries


def _faults(registries: Registries, file: Path) -> tuple[str, ...]:
    from agentplat.engine.definitions import diagnosed

    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    return diagnosed(registries, content, str(file))
