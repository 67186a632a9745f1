"""`agentplat db`: upgrade the database, or say how it stands."""

from __future__ import annotations

import json

import typer

from agentplat.runtime.cli.options import DatabaseUrl, Json, command_group

app = command_group("Upgrade the database, or say how it stands.")


@app.command()
def upgrade(database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Bring the schema to the newest revision. Safe to repeat, and safe while other processes do the same."""
    from agentplat_migrations import schema

    url = _address(database_url)
    before, newest = schema.current(url)
    schema.upgrade(url)
    done = f"Upgraded from {before or 'nothing'} to {newest}." if before != newest else f"Nothing to do: {newest}."
    _say(done, as_json, before=before, revision=newest)


@app.command()
def current(database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Print the revision of the schema."""
    from agentplat_migrations import schema

    revision, newest = schema.current(_address(database_url))
    hint = "" if revision == newest else f" The newest is {newest}: run `agentplat db upgrade`."
    _say(f"{revision or 'The database has no schema yet.'}{hint}", as_json, revision=revision, newest=newest)


@app.command()
def check(database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Compare the schema with what this version needs; exit code 1 when it differs."""
    from agentplat_migrations import schema

    url = _address(database_url)
    revision, newest = schema.current(url)
    differences = schema.differences(url)
    fits = revision == newest and not differences
    lines = [f"The schema fits: {newest}."] if fits else [f"Revision {revision}, {newest} is needed.", *differences]
    _say("\n".join(lines), as_json, revision=revision, newest=newest, differences=differences)
    if not fits:
        raise typer.Exit(1)


def _address(given: str | None) -> str:
    from agentplat.runtime.settings import load_settings

    return load_settings(database_url=given).database_url


def _say(text: str, as_json: bool, **values: object) -> None:
    typer.echo(json.dumps(values) if as_json else text)
