"""What only a server can show, and not a statement on its tables."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from agentplat_doctor import checks
from agentplat_doctor.checks import examine
from agentplat_testkit.databases import PostgresDatabases
from agentplat_testkit.postgres import PostgresServer
from agentplat_testkit.pytest_plugin import needs_own_sessions
from sqlalchemy import create_engine, text

from .healthy import made


def warned(url: str) -> dict[str, list[str]]:
    return {finding.predicate.code: list(finding.examples) for finding in examine(url).warnings}


@pytest.fixture
def durable_url() -> Iterator[str]:
    """A database on a server that waits for the disk, as in production."""
    with PostgresServer(durable=True) as server, PostgresDatabases(server.url()).fresh() as url:
        made(url)
        yield url


@needs_own_sessions
def test_an_open_transaction_is_named_by_its_process(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MINUTE", timedelta(0))
    engine = create_engine(postgres_url, isolation_level="REPEATABLE READ")
    with engine.connect() as idle:
        process = idle.execute(text("SELECT pg_backend_pid()")).scalar_one()
        assert f"process {process}" in warned(postgres_url)["transaction_pins_rows"]
        idle.rollback()
        assert "transaction_pins_rows" not in warned(postgres_url)
    engine.dispose()


@needs_own_sessions
def test_an_open_transaction_is_no_matter_for_a_minute(postgres_url: str) -> None:
    engine = create_engine(postgres_url, isolation_level="REPEATABLE READ")
    with engine.connect() as idle:
        idle.execute(text("SELECT 1"))
        assert "transaction_pins_rows" not in warned(postgres_url)
    engine.dispose()


def test_a_server_that_waits_for_the_disk_is_not_warned_about(durable_url: str) -> None:
    assert "commits_may_be_lost" not in warned(durable_url)


def test_a_server_that_does_not_wait_for_the_disk_is(postgres_url: str) -> None:
    assert warned(postgres_url)["commits_may_be_lost"] == ["fsync", "full_page_writes", "synchronous_commit"]
