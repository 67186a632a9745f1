"""`agentplat doctor`: what does not hold, for people or for programs."""

from __future__ import annotations

import typer

from agentplat.runtime.cli.options import DatabaseUrl, Json


def doctor(database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Check every promise on the database, as it is now. Reads only; safe while everything runs.

    An error is a broken promise, a warning something that operation should look at.
    Exit code: 0 no error, 1 errors, 2 wrong use.
    """
    from agentplat.runtime.settings import load_settings
    from agentplat_doctor.checks import examine
    from agentplat_doctor.printing import json_lines, progress, readable

    url = load_settings(database_url=database_url).database_url
    with progress(shown=not as_json) as advance:
        report = examine(url, advance)
    if as_json:
        for line in json_lines(report):
            typer.echo(line)
    else:
        readable(report)
    if report.errors:
        raise typer.Exit(1)
