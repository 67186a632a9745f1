"""Flags of several commands."""

from __future__ import annotations

from typing import Annotated

import typer

Url = Annotated[
    str | None, typer.Option("--url", help="A running server (http://host:port), in place of the database.")
]
