"""The flags that are alike everywhere, and what they mean."""

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
Url = Annotated[str | None, typer.Option("--url", help="A running server, in place of the database.")]
