"""`agentplat workflows`: list, validate, graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from agentplat.domain.errors import AgentplatError, WorkflowInvalid
from agentplat.runtime.cli.options import Json

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="List, validate and draw workflows.",
)


@app.command("list")
def list_workflows(json_lines: Json = False) -> None:
    """Installed workflows and those of this folder."""
    from agentplat.engine.client.describe import describe_workflows
    from agentplat.engine.definitions import Definitions
    from agentplat.runtime.cli.output import Printer

    catalog = _catalog()
    described = describe_workflows(catalog, Definitions(_NO_STORE))
    printer = Printer(json_lines=json_lines)
    if json_lines:
        for workflow in described:
            printer.line({"name": workflow.name, "description": workflow.description, **workflow.values})
        return
    rows = [(w.name, w.values.get("strategy") or "invalid", w.description or w.values.get("fault")) for w in described]
    printer.table(("name", "strategy", "description"), rows, "No workflow is installed.")


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="Workflow files.")],
    json_lines: Json = False,
) -> None:
    """Say all faults of workflow files, with file, line and column. Exit code 1 when there are any."""
    from agentplat.runtime.cli.output import Printer, plain

    printer = Printer(json_lines=json_lines)
    catalog, faulty = _catalog(), False
    for file in files:
        diagnostics: tuple[str, ...] = ()
        try:
            _compiled(catalog, file)
        except WorkflowInvalid as invalid:
            diagnostics, faulty = invalid.diagnostics, True
        if json_lines:
            printer.line({"file": str(file), "valid": not diagnostics, "diagnostics": list(diagnostics)})
        else:
            for line in diagnostics or (f"{file}: valid",):
                printer.out.print(plain(line))
    raise typer.Exit(1 if faulty else 0)


@app.command()
def graph(workflow: Annotated[str, typer.Argument(help="A workflow's name, or a file.")]) -> None:
    """The workflow as a Mermaid diagram."""
    from agentplat.language.graph import mermaid

    catalog = _catalog()
    file = Path(workflow)
    if not file.is_file():
        file = Path(catalog.workflows.spec(workflow).file)
    typer.echo(mermaid(_compiled(catalog, file)))


_NO_STORE: Any = None
"""Workflows are read from files here; no database is asked."""


def _catalog() -> Any:
    import os

    from agentplat.plugins.host import load_plugins
    from agentplat.plugins.project.generation import load_project
    from agentplat.plugins.selection import project_folder, read_selection

    folder = project_folder(os.environ)
    return load_project(folder, load_plugins(read_selection(folder, os.environ)).registries).registries


def _compiled(catalog: Any, file: Path) -> Any:
    from agentplat.engine.definitions import CatalogNames
    from agentplat.language.compiler import compile_document
    from agentplat.language.yaml import load

    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise AgentplatError(f"{file} cannot be read: {error.strerror}.") from None
    return compile_document(load(text, str(file)), CatalogNames(catalog))
