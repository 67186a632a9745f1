"""The flags that are alike everywhere, and how commands look."""

from __future__ import annotations

from typing import Annotated

import typer

Host = Annotated[str | None, typer.Option("--host", help="Address to bind. Default: 127.0.0.1.")]
Port = Annotated[int | None, typer.Option("--port", help="Port to bind. Default: 8000; 0 takes a free one.")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="sqlite:///path or postgresql://... Default: .agentplat/agentplat.db here."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]


def command_group(help: str | None = None) -> typer.Typer:
    """A typer.Typer whose help is plain text: rich would cost more time than all the rest of `--help`."""
    return typer.Typer(
        add_completion=False,
        no_args_is_help=help is not None,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help=help,
    )
