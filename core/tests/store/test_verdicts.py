"""What an error of the database means: a lost connection, a server in need, values at fault, or a bug of ours."""

import re
from typing import cast

import psycopg
import pytest
from agentplat_migrations.schema import current
from agentplat_testkit.pytest_plugin import needs_own_sessions
from psycopg.errors import lookup
from psycopg.pq import DiagnosticField

from agentplat.domain.errors import SettingsInvalid
from agentplat.store.address import Address
from agentplat.store.connect import open_store
from agentplat.store.database import Transaction, Verdict
from agentplat.store.postgres import Postgres
from agentplat.store.server.verdicts import check_address, verdict


def said(code: str, *, file: str = "") -> psycopg.Error:
    """What the server says under that code, from that file of its own source."""
    told = [None] * len(DiagnosticField)
    fields = dict(zip(DiagnosticField, told, strict=True))
    info = {**fields, DiagnosticField.SQLSTATE: code.encode(), DiagnosticField.SOURCE_FILE: file.encode() or None}
    return lookup(code)("", info=cast(dict[int, bytes | None], info))


@pytest.mark.parametrize(
    "error",
    [psycopg.InterfaceError("unexpected"), psycopg.InternalError("2 results"), psycopg.DatabaseError("out of memory")],
)
def test_what_the_client_library_says_of_a_connection_is_no_fault_of_the_values(error: psycopg.Error) -> None:
    assert verdict(error) is Verdict.TRANSIENT


def test_a_value_that_cannot_be_sent_is_refused() -> None:
    assert verdict(psycopg.DataError("NUL")) is Verdict.REFUSED


@pytest.mark.parametrize("code", ["53000", "53100", "53400", "58000", "58030", "58P01"])
def test_a_server_in_need_is_away(code: str) -> None:
    assert verdict(said(code)) is Verdict.AWAY


def test_a_server_with_too_many_sessions_may_have_room_in_a_moment() -> None:
    assert verdict(said("53300")) is Verdict.TRANSIENT


@pytest.mark.parametrize(
    ("file", "meant"),
    [("varsup.c", Verdict.AWAY), ("multixact.c", Verdict.AWAY), ("nbtutils.c", Verdict.REFUSED), ("", Verdict.REFUSED)],
)
def test_a_server_without_numbers_for_transactions_is_away(file: str, meant: Verdict) -> None:
    """A row that is too large for its index has the same code."""
    assert verdict(said("54000", file=file)) is meant


@pytest.mark.parametrize(
    "rest",
    [
        *("u:100%sure@h/d", "u:sure@h/d?sslmod=require", "u:sure@a..b/d", "u:p@sure@h/d", "u:sure/sure@h/d"),
        *("u:p@sure.invalid/sure@h/d", "u:12345/sure@h/d"),
    ],
)
def test_an_address_that_cannot_be_read_is_told_without_its_password(rest: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        open_store(f"postgresql://{rest}")
    assert "sure" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("rest", ["u:100%sure@h/d", "u:p@sure@h/d"])
def test_neither_do_migrations_tell_it(rest: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        current(f"postgresql://{rest}")
    assert "sure" not in str(refused.value)


@pytest.mark.parametrize(
    "rest",
    [
        *("u:p@h/d", "/d", "u@h1,h2:5433/d", "u@[::1]:5432/d", "u:p@/d?host=/run/pg@14", "u@some_host./my@db"),
        *("u@/d?host=@abstract", f"u@/d?hostaddr=127.0.0.1&host={'x' * 70}", f"u@/d?host=/{'x' * 70}", "u:p%40%2F@h/d"),
    ],
)
def test_an_address_of_any_kind_is_read(rest: str) -> None:
    check_address(Address.parse(f"postgresql://{rest}"))


@pytest.mark.parametrize("url", ["host=h user=u password=sure dbname=d", "postgresql:u:sure@h/d", "u:sure@h/d"])
def test_what_is_no_address_is_not_repeated(url: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        Address.parse(url)
    assert "sure" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["mysql", "mysql+pymysql"])
def test_a_database_of_another_kind_is_named(scheme: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"kind '{re.escape(scheme)}' is not supported"):
        Address.parse(f"{scheme}://u:sure@h/d")


@needs_own_sessions
async def test_a_session_that_only_reads_is_left_for_one_that_writes(postgres_url: str) -> None:
    """As after a failover: the sessions that are there still lead to the old server."""
    database = Postgres(Address.parse(postgres_url), application="agentplat-test", pool_size=1)
    sessions = []

    async def work(transaction: Transaction) -> None:
        execute = transaction.connection.exec_driver_sql
        sessions.append((await execute("select pg_backend_pid()")).scalar())
        if len(sessions) == 1:
            await execute("set transaction read only")
        await execute("create temporary table kept (number int) on commit drop")

    await database.write(work)
    await database.close()
    assert len(set(sessions)) == 2
