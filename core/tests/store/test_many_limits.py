"""There may be a limit for each customer of a workflow: what claims and sweeps ask of them must not read them all."""

import sqlite3
from contextlib import closing

import psycopg
import pytest
from agentplat_testkit.pytest_plugin import needs_own_sessions

from agentplat.contracts.store import Store
from agentplat.store.address import Address
from agentplat.store.postgres import script_settings
from agentplat.store.statements import statement

from .outside import execute

pytestmark = needs_own_sessions  # the plans are of a session whose settings are the store's

FILL = """
    insert into agentplat.limits (tenant_id, key, at_once, weight, running)
    with recursive n (i) as (select 1 union all select i + 1 from n where i < 50000)
    select 'tenant' || i, case when {counted} then 'k' else '' end, case when {counted} then 1 end,
           case when {counted} then null else 2 end, 0
    from n
"""


@pytest.fixture(params=["i > 25000", "1 = 0", "1 = 1"], ids=["some", "only weights", "all"])
def filled_url(store: Store, database_url: str, request: pytest.FixtureRequest) -> str:
    """A database with many limits, so many of which bound anything; none of them has a rate."""
    execute(database_url, FILL.format(counted=request.param))
    return database_url


def plan(url: str, name: str) -> str:
    text = statement(name, "postgresql").replace(":queue", "'default'").replace(":claim_id", "gen_random_uuid()")
    with psycopg.connect(Address.parse(url).libpq, autocommit=True) as session:
        for setting, value in script_settings().items():
            session.execute(f"set {setting} = '{value}'".encode())
        return "\n".join(row[0] for row in session.execute(f"explain {text}".encode()))


def steps(url: str, name: str) -> int:
    """How many hundred steps SQLite makes."""
    made = 0

    def count() -> None:
        nonlocal made
        made += 1

    file = Address.parse(url).file
    assert file is not None
    with closing(sqlite3.connect(file)) as connection:
        connection.set_progress_handler(count, 100)
        connection.execute(statement(name, "sqlite"), {"queue": "default", "claim_id": "0" * 32}).fetchall()
    return made


@pytest.mark.parametrize("analyzed", [False, True])
def test_they_are_looked_up_and_not_walked_through(filled_url: str, analyzed: bool) -> None:
    if analyzed:
        execute(filled_url, "analyze")
    if Address.parse(filled_url).file is not None:
        assert max(steps(filled_url, name) for name in ("take_turn", "due")) < 10
        return
    turn, due = plan(filled_url, "take_turn"), plan(filled_url, "due")
    assert "pk_limits" not in turn + due
    assert "Scan on limits" not in turn + due
    assert turn.count("using ix_limits_counted on limits") == 3, turn
    assert "Index Cond: (starts > 0)" in turn, turn
    assert due.count("using ix_limits_opens on limits") == 2, due
