"""`agentplat demo`: the workflow whose spec says that it is for demonstrations, over real documents."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentplat import InputRejected, Submission, UsageError
from agentplat.runtime.cli.options import DatabaseUrl, Json

if TYPE_CHECKING:
    from agentplat import WorkflowSpec
    from agentplat.plugins.models import ModelChoice
    from agentplat.plugins.registry import Registries


def demo(
    topic: Annotated[str | None, typer.Option("--topic", help="What to find out. Default: the workflow's own.")] = None,
    documents: Annotated[
        Path | None,
        typer.Option("--documents", help="Folder to search. Default: documents/ of the project, else the guides."),
    ] = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Run the demonstration over your documents, and show what came of it.

    Needs no key and no server. Says first which model answers, and whether text leaves this machine.
    """
    if documents is not None and not documents.is_dir():
        raise InputRejected("--documents", [("", f"names {str(documents)!r}, which is not a folder")])
    raise typer.Exit(asyncio.run(_demo(topic, documents and documents.absolute(), database_url, json_lines)))


async def _demo(topic: str | None, documents: Path | None, database_url: str | None, json_lines: bool) -> int:
    import os

    from agentplat_cli.output import Printer
    from agentplat_cli.report import Report
    from agentplat_cli.run import awaited, exit_code
    from agentplat_cli.session import connected

    printer = Printer(json_lines=json_lines)
    async with connected(None, database_url, works=True, documents=documents) as session:
        assert session.platform is not None
        registries, settings = session.platform.registries, session.platform.settings
        spec = demonstration(registries)
        choice = registries.default_model(os.environ, settings.model)
        about = {
            "workflow": spec.name,
            "topic": topic or spec.demo,
            "documents": str(settings.documents_folder or "agentplat's own guides"),
            "model": str(choice),
            "generates": choice.provider.generates,
            "leaves_machine": choice.provider.leaves_machine,
        }
        report = Report(printer)
        if json_lines:
            printer.line(about)
        else:
            report.beginning({**about, "model": model_text(choice)})
        task = await session.tasks.submit(Submission(type=f"workflow:{spec.name}", input={"topic": about["topic"]}))
        task = await awaited(session, task, printer, happened=printer.event if json_lines else report.event)
        if json_lines:
            printer.task(task)
        else:
            report.ending(task)
    return exit_code(task)


def demonstration(registries: Registries) -> WorkflowSpec:
    """The workflow that is for demonstrations. UsageError when none is installed."""
    for spec in registries.workflows:
        if spec.demo:
            return spec
    raise UsageError("No installed workflow is for demonstrations. Install agentplat-workflows.")


def model_text(choice: ModelChoice) -> str:
    """Which model answers, what it does, and whether text leaves the machine."""
    does = "generates text" if choice.provider.generates else "generates nothing, it selects what the documents say"
    if choice.provider.leaves_machine:
        return f"{choice}: {does}. The topic and passages of the documents are sent to another machine."
    return f"{choice}: {does}. No text leaves this machine."
