"""`agentplat limits`: list, set, remove."""

from __future__ import annotations

from typing import Annotated

import typer

from agentplat import Limit, LimitRow
from agentplat.runtime.cli.options import DatabaseUrl, Json, command_group
from agentplat_cli.options import Url
from agentplat_cli.session import call

app = command_group("List, set and remove limits, and the weights of tenants.")

Tenant = Annotated[str, typer.Argument(help="The tenant.")]
Key = Annotated[str, typer.Option("--key", help="A concurrency key of the tenant. Default: the tenant as a whole.")]


@app.command("list")
def list_limits(url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False) -> None:
    """All limits, and how they stand now."""
    from agentplat_cli.output import Printer

    found = call(url, database_url, lambda tasks: tasks.limits())
    printer = Printer(json_lines=json_lines)
    if json_lines:
        for row in found:
            printer.line(_json(row))
        return
    heads = ("tenant", "key", "running", "started", "weight", "full since (UTC)")
    printer.table(heads, [_cells(row) for row in found], "No limit yet. `agentplat limits set` sets one.")


@app.command("set")
def set_limit(
    tenant: Tenant,
    key: Key = "",
    at_once: Annotated[
        int | None, typer.Option("--at-once", help="So many tasks run at one time; 0 holds all of them back.")
    ] = None,
    starts: Annotated[int | None, typer.Option("--starts", help="So many tasks start within --seconds.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help="The time of --starts.")] = None,
    weight: Annotated[int | None, typer.Option("--weight", help="Of the tenant's share. Default: 1.")] = None,
    url: Url = None,
    database_url: DatabaseUrl = None,
    json_lines: Json = False,
) -> None:
    """Set a limit, in place of what was set for the tenant and the key. What runs is not stopped."""
    limit = Limit(tenant=tenant, key=key, at_once=at_once, starts=starts, seconds=seconds, weight=weight)
    call(url, database_url, lambda tasks: tasks.set_limit(limit))
    _say("set", tenant, key, json_lines=json_lines)


@app.command("remove")
def remove_limit(
    tenant: Tenant, key: Key = "", url: Url = None, database_url: DatabaseUrl = None, json_lines: Json = False
) -> None:
    """Remove a limit."""
    call(url, database_url, lambda tasks: tasks.remove_limit(tenant, key))
    _say("removed", tenant, key, json_lines=json_lines)


def _say(what: str, tenant: str, key: str, *, json_lines: bool) -> None:
    from agentplat_cli.output import Printer, plain

    printer = Printer(json_lines=json_lines)
    if json_lines:
        printer.line({"tenant": tenant, "key": key, "limit": what})
        return
    named = f"{key} of {tenant}" if key else tenant
    printer.say(plain(f"The limit of {named} is {what}."))


def _cells(row: LimitRow) -> tuple[object, ...]:
    limit = row.limit
    running = f"{row.running} of {limit.at_once}" if limit.at_once is not None else str(row.running)
    started = f"{row.started} of {limit.starts} in {limit.seconds:g} s" if limit.starts is not None else None
    full = f"{row.full_since:%Y-%m-%d %H:%M:%S}" if row.full_since else None
    return limit.tenant, limit.key, running, started, limit.weight, full


def _json(row: LimitRow) -> dict[str, object]:
    limit = row.limit
    return {
        "tenant": limit.tenant,
        "key": limit.key,
        "at_once": limit.at_once,
        "starts": limit.starts,
        "seconds": limit.seconds,
        "weight": limit.weight,
        "running": row.running,
        "started": row.started,
        "full_since": row.full_since,
    }
