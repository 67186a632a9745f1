"""`agentplat workflows bounds`, `graph` and `schema`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from agentplat.runtime.cli.options import Json

Named = Annotated[str, typer.Argument(metavar="WORKFLOW", help="A workflow's name, or a file.")]


def bounds(workflow: Named, json_lines: Json = False) -> None:
    """The worst case of a workflow: step executions, model and tool calls, tokens, money and time.

    Says which loop dominates each of them, and what has no bound and why. Steps count as executed one after another.
    """
    from agentplat.runtime.settings import load_settings
    from agentplat_analysis.bounds import bounds_of
    from agentplat_analysis.knowledge import Installation
    from agentplat_analysis.reading import installed, read
    from agentplat_analysis.report import as_json, as_text

    settings, registries = load_settings(), installed()
    written = read(registries, workflow)
    found = bounds_of(written.workflow, Installation(registries, settings.model, settings.prices))
    if json_lines:
        typer.echo(json.dumps(as_json(found, written), ensure_ascii=False))
        return
    for line in as_text(found, written):
        typer.echo(line)


def graph(
    workflow: Named,
    as_svg: Annotated[bool, typer.Option("--svg", help="A picture (SVG), in place of a Mermaid diagram.")] = False,
) -> None:
    """The workflow as a Mermaid diagram, or as a picture."""
    from agentplat_analysis.picture.mermaid import mermaid
    from agentplat_analysis.picture.svg import svg
    from agentplat_analysis.reading import installed, read

    drawn = svg if as_svg else mermaid
    registries = installed()
    typer.echo(drawn(read(registries, workflow).workflow, registries.strategy), nl=False)


def schema() -> None:
    """The JSON Schema of workflow files, with the agents, tools, strategies and checks that are installed.

    Editors that know the YAML language server take it: `# yaml-language-server: $schema=workflow.schema.json`.
    """
    from agentplat_analysis.reading import installed
    from agentplat_analysis.schema.document import schema_of
    from agentplat_analysis.schema.installed import offers_of

    typer.echo(json.dumps(schema_of(offers_of(installed())), indent=2, ensure_ascii=False))
