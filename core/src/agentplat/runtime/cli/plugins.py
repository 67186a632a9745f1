"""`agentplat plugins`: what was found, in which state, and why something was rejected."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentplat.plugins.host import PluginRecord

_COLOURS = {"active": "green", "disabled": "dim", "rejected": "red"}


def plugins(json: bool = False) -> None:
    """Show the installed plugins and the project's files: what they offer, or why they are not used."""
    records = _records()
    if json:
        _print_lines(records)
    else:
        _print_table(records)


def _records() -> tuple[PluginRecord, ...]:
    from agentplat.plugins.host import load_plugins
    from agentplat.plugins.project.generation import load_project
    from agentplat.plugins.selection import project_folder, read_selection

    folder = project_folder(os.environ)
    installed = load_plugins(read_selection(folder, os.environ))
    return installed.records + load_project(folder, installed.registries).records


def _print_lines(records: tuple[PluginRecord, ...]) -> None:
    import typer

    for record in records:
        typer.echo(dumps(asdict(record)))


def _print_table(records: tuple[PluginRecord, ...]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("plugin", "version", "state", "offers"):
        table.add_column(column, no_wrap=column != "offers", overflow="fold")
    for record in records:
        said = Text(_offers(record.offers))
        if record.reason:
            said = Text("\n").join(filter(None, (said, Text(record.reason))))
        state = Text(record.state.value, style=_COLOURS[record.state.value])
        table.add_row(Text(record.name), Text(record.version or ""), state, said)
    if not console.is_terminal:
        console.width = 10_000  # whoever reads this line by line wants a plugin's reason in one piece
    console.print(table)


def _offers(offers: Mapping[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{kind.replace('_', ' ')}: {', '.join(names)}" for kind, names in offers.items())
