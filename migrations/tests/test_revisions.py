from collections.abc import Iterator
from pathlib import Path

import pytest
from agentplat_migrations import schema
from agentplat_migrations.connection import changing, looking
from agentplat_testkit.databases import PostgresDatabases
from sqlalchemy import text

from agentplat.store.tables import REVISION

from .catalogue import catalogue


@pytest.fixture
def created_url(request: pytest.FixtureRequest, database_url: str) -> str:
    """Another database of the same kind, made from the tables themselves."""
    url = str(request.getfixturevalue("sqlite_url" if database_url.startswith("sqlite") else "second_postgres_url"))
    url = f"{url}.created" if url.startswith("sqlite") else url
    with changing(url) as connection:
        schema.make_schema(connection)
        schema.wanted(connection).create_all(connection)
    return url


@pytest.fixture
def second_postgres_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    with postgres_databases.fresh() as url:
        yield url


def test_the_revisions_add_up_to_the_tables(upgraded_url: str, created_url: str) -> None:
    with looking(upgraded_url) as upgraded, looking(created_url) as created:
        assert upgraded is not None
        assert created is not None
        found, wanted = catalogue(upgraded), catalogue(created)
    assert len(wanted["columns"]) > 80
    assert len(wanted["constraints"]) > 25
    for part in wanted:
        assert found[part] == wanted[part], part


def test_alembic_finds_no_difference_either(upgraded_url: str) -> None:
    assert schema.differences(upgraded_url) == []


def test_the_newest_revision_is_the_one_that_the_core_needs() -> None:
    assert schema.newest() == REVISION


def test_revisions_are_numbered_without_gaps_or_branches() -> None:
    folder = Path(schema.__file__).parent / "environment" / "versions"
    numbers = sorted(path.name.partition("_")[0] for path in folder.glob("[0-9]*.py"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert numbers[-1] == REVISION


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("alter table {schema}tasks add column moon text", "moon"),
        ("drop index {schema}ix_queue_claim", "ix_queue_claim"),
        ("drop table {schema}inbox", "inbox"),
    ],
)
def test_a_difference_is_found_and_named(upgraded_url: str, change: str, said: str) -> None:
    with changing(upgraded_url) as connection:
        prefix = "agentplat." if connection.dialect.name == "postgresql" else ""
        connection.execute(text(change.format(schema=prefix)))
    assert any(said in difference for difference in schema.differences(upgraded_url))


def test_tables_of_others_in_the_same_database_are_nobodys_business(upgraded_url: str) -> None:
    with changing(upgraded_url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("create table public.theirs (n integer)"))
    assert schema.differences(upgraded_url) == []
