"""`agentplat plugins`: what was found, in which state, and why something was rejected."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from agentplat.runtime.cli.options import Json

if TYPE_CHECKING:
    from agentplat.plugins.host import PluginRecord

_COLOURS = {"active": typer.colors.GREEN, "disabled": typer.colors.YELLOW, "rejected": typer.colors.RED}


def plugins(json_lines: Json = False) -> None:
    """Show the installed plugins and the project's files: what they offer, or why they are not used."""
    from agentplat.plugins.host import load_plugins
    from agentplat.plugins.project.generation import load_project
    from agentplat.plugins.selection import project_folder, read_selection

    folder = project_folder(os.environ)
    with redirect_stdout(sys.stderr):  # what foreign code prints is no result
        installed = load_plugins(read_selection(folder, os.environ))
        records = installed.records + load_project(folder, installed.registries).records
    width = max((len(record.name) for record in records), default=6)
    if not json_lines:
        typer.echo(f"{'plugin':{width}}  {'version':8}  {'state':8}  offers")
    for record in records:
        if json_lines:
            typer.echo(json.dumps(asdict(record)))
            continue
        state = typer.style(f"{record.state.value:8}", fg=_COLOURS[record.state.value])
        typer.echo(f"{record.name:{width}}  {record.version or '':8}  {state}  {'; '.join(_said(record))}")


def _said(record: PluginRecord) -> Iterator[str]:
    for kind, names in record.offers.items():
        yield f"{kind.replace('_', ' ')}: {', '.join(names)}"
    if record.reason:
        # In one piece, for whoever reads line by line; a plugin's own text is shown and not obeyed.
        yield "".join(c if c.isprintable() else " " for c in record.reason)
