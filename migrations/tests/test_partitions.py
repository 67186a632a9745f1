"""Journal and calls by month: from a database with content, and with rows that no month was there for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from agentplat_migrations import schema
from agentplat_migrations.connection import changing, looking
from alembic import command
from sqlalchemy import Connection, text

from agentplat.store.tables import REVISION
from agentplat.store.transactions import partitions
from agentplat.store.transactions.partitions import Month, first_id

OLD = UUID("01900000-0000-7000-8000-000000000001")  # of 2024
FAR = UUID("02700000-0000-7000-8000-000000000001")  # of 2055: some clock was wrong
JOURNAL = "insert into agentplat.journal values (:id, :seq, 'north', 1, clock_timestamp(), 'task_submitted', '{}')"
CALL = """insert into agentplat.calls values (:id, 'step', 1, :seq, 'north', 'tool', 't', 'finished', '{}', null, 0, 0,
          null, 1, clock_timestamp())"""


def month(connection: Connection, ahead: int) -> Month:
    at: datetime = connection.execute(text("select clock_timestamp()")).scalar_one()
    utc = at.astimezone(UTC)
    return Month(utc.year, utc.month).after(ahead)


def write(connection: Connection, *ids: UUID) -> None:
    for statement in (JOURNAL, CALL):
        connection.execute(text(statement), [{"id": each, "seq": seq} for each in ids for seq in (1, 2)])


def where(connection: Connection, table: str) -> dict[UUID, str]:
    """In which partition each task's rows are; they are in one."""
    rows = connection.execute(text(f"select distinct task_id, tableoid::regclass::text from agentplat.{table}")).all()
    assert len(rows) == len({row[0] for row in rows})
    return {row[0]: row[1].removeprefix("agentplat.") for row in rows}


@pytest.fixture
def first_revision(postgres_url: str) -> str:
    with changing(postgres_url) as connection:
        schema.make_schema(connection)
        command.upgrade(schema.config(connection), "0001")
    return postgres_url


def test_tables_with_content_become_the_first_partition_and_lose_nothing(first_revision: str) -> None:
    with changing(first_revision) as connection:
        present, next_month = month(connection, 0), month(connection, 1)
        ids = (OLD, present.first, next_month.first, FAR)
        write(connection, *ids)
    schema.upgrade(first_revision)
    assert schema.current(first_revision) == (REVISION, REVISION)
    assert schema.differences(first_revision) == []
    with looking(first_revision) as connection:
        assert connection is not None
        for table in partitions.TABLES:
            here = f"{table}_{present.year}_{present.month:02}"
            there = f"{table}_{next_month.year}_{next_month.month:02}"
            assert where(connection, table) == dict(zip(ids, (here, here, there, f"{table}_default"), strict=True))
            assert connection.scalar(text(f"select count(*) from agentplat.{table}")) == 8


def test_the_keys_still_hold_after_the_tables_were_divided(first_revision: str) -> None:
    with changing(first_revision) as connection:
        write(connection, OLD)
    schema.upgrade(first_revision)
    with changing(first_revision) as connection:
        kept = connection.execute(text(f"{JOURNAL} on conflict (task_id, seq) do nothing"), {"id": OLD, "seq": 2})
        assert kept.rowcount == 0
        assert connection.execute(text(f"{JOURNAL} on conflict do nothing"), {"id": OLD, "seq": 3}).rowcount == 1


def test_the_months_ahead_have_their_partitions(postgres_url: str) -> None:
    schema.upgrade(postgres_url)
    with looking(postgres_url) as connection:
        assert connection is not None
        ends = [month(connection, ahead).first for ahead in range(1, partitions.AHEAD + 2)]
        for table in partitions.TABLES:
            assert [each.high for each in partitions.present(connection, table)] == ends
        assert partitions.missing(connection) == []


@pytest.fixture
def later(postgres_url: str) -> str:
    """A database that nobody looked after for a while: the months ahead have no partitions."""
    schema.upgrade(postgres_url)
    with changing(postgres_url) as connection:
        for table in partitions.TABLES:
            for each in partitions.present(connection, table)[1:]:
                connection.execute(text(f"drop table agentplat.{each.name}"))
    return postgres_url


def test_rows_that_came_before_their_month_are_moved_into_it(later: str) -> None:
    with changing(later) as connection:
        first, second = (month(connection, ahead).first for ahead in (1, 2))
        write(connection, first, second, FAR)
        assert set(where(connection, "journal").values()) == {"journal_default"}
    schema.upgrade(later)
    with looking(later) as connection:
        assert connection is not None
        assert partitions.missing(connection) == []
        for table in partitions.TABLES:
            names = [each.name for each in partitions.present(connection, table)]
            assert where(connection, table) == {first: names[1], second: names[2], FAR: f"{table}_default"}


def test_a_month_with_too_many_rows_already_stays_where_it_is_and_holds_up_no_other(later: str) -> None:
    with changing(later) as connection:
        crowded = month(connection, 1).first
        write(connection, crowded)
        made = {
            partition.name: partitions.make(connection, table, partition, at_most=1)
            for table, partition in partitions.missing(connection)
        }
        assert sorted(made.values()) == [False, False, True, True]
        assert where(connection, "journal") == {crowded: "journal_default"}
        assert len(partitions.missing(connection)) == 2  # for `agentplat db upgrade`, which takes its time
    schema.upgrade(later)
    with looking(later) as connection:
        assert connection is not None
        assert partitions.missing(connection) == []
        assert where(connection, "journal")[crowded] != "journal_default"


def test_a_table_without_a_default_partition_is_a_difference(postgres_url: str) -> None:
    schema.upgrade(postgres_url)
    with changing(postgres_url) as connection:
        connection.execute(text("drop table agentplat.calls_default"))
    assert schema.differences(postgres_url) == ["no_partitions calls"]


def test_the_first_id_of_a_moment_divides_what_was_made_before_and_after_it() -> None:
    at = datetime(2026, 12, 1, tzinfo=UTC)
    assert first_id(at).hex == f"{int(at.timestamp() * 1000):012x}" + "0" * 20
    assert first_id(at - timedelta(milliseconds=1)) < first_id(at)
