from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from agentplat_testkit.databases import PostgresDatabases, SqliteDatabases
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

SUITE = """
    import pytest
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url


    def execute(url, statement):
        sync = make_url(url)
        sync = sync.set(drivername=sync.drivername.removesuffix("+aiosqlite"))
        engine = create_engine(sync)
        with engine.begin() as connection:
            connection.execute(text(statement))
        engine.dispose()


    @pytest.fixture(scope="session")
    def migrate():
        return lambda url: execute(url, "create table made_once (n integer)")


    @pytest.mark.parametrize("time", ["first", "second"])
    def test_it(database_url, time):
        execute(database_url, "insert into made_once values (1)")
        execute(database_url, "create table only_here (n integer)")
"""


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    address = make_url(url)
    engine = create_engine(address.set(drivername=address.drivername.removesuffix("+aiosqlite")))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def execute(url: str, statement: str) -> None:
    with connected(url) as connection:
        connection.execute(text(statement))


def count(url: str, table: str) -> int:
    with connected(url) as connection:
        return int(connection.execute(text(f"select count(*) from {table}")).scalar_one())


class Migration:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, url: str) -> None:
        self.calls += 1
        execute(url, "create table migrated as select 1 as n")


def test_a_test_gets_a_database_of_its_own_on_each_backend(database_url: str) -> None:
    execute(database_url, "create table mine (n integer)")
    assert count(database_url, "mine") == 0


def test_postgres_databases_are_migrated_once_and_cloned(postgres_databases: PostgresDatabases) -> None:
    migrate = Migration()
    with postgres_databases.fresh(migrate) as first, postgres_databases.fresh(migrate) as second:
        execute(first, "insert into migrated values (2)")
        assert (count(first, "migrated"), count(second, "migrated")) == (2, 1)
    with postgres_databases.fresh() as empty, pytest.raises(Exception, match="migrated"):
        count(empty, "migrated")
    assert migrate.calls == 1


def test_databases_may_be_reached_through_a_pooler_that_migrations_do_not_see(postgres_url: str) -> None:
    migrate = Migration()
    with PostgresDatabases(postgres_url, "unkind").fresh(migrate) as url:
        address = make_url(url)
        assert address.query["pooled"] == "true"
        assert address.host == "127.0.0.1"
        assert count(address.difference_update_query(["pooled"]).render_as_string(hide_password=False), "migrated") == 1


def test_sqlite_files_are_migrated_once_and_copied(sqlite_databases: SqliteDatabases) -> None:
    migrate = Migration()
    first, second = sqlite_databases.fresh(migrate), sqlite_databases.fresh(migrate)
    execute(first, "insert into migrated values (2)")
    assert (count(first, "migrated"), count(second, "migrated")) == (2, 1)
    assert migrate.calls == 1


def test_a_template_that_is_still_being_written_is_refused(tmp_path: Path) -> None:
    left_open = []

    def migrate(url: str) -> None:
        engine = create_engine(make_url(url).set(drivername="sqlite"))
        connection = engine.connect()
        connection.exec_driver_sql("pragma journal_mode=wal")
        connection.exec_driver_sql("create table migrated (n integer)")
        connection.commit()
        left_open.append((engine, connection))

    with pytest.raises(RuntimeError, match="left a connection open"):
        SqliteDatabases(tmp_path).fresh(migrate)
    for engine, connection in left_open:
        connection.close()
        engine.dispose()


def test_a_database_is_removed_after_use_even_if_someone_is_connected(
    postgres_databases: PostgresDatabases,
) -> None:
    with postgres_databases.fresh() as url:
        address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg.connect(address)
    connection.close()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(address)


def test_a_suite_runs_on_both_backends_and_migrates_by_its_own_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess("-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines_random(["*sqlite*PASSED*", "*postgresql*PASSED*"])


def test_a_named_server_is_used_instead_of_an_own_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setenv("AGENTPLAT_TEST_POSTGRES_URL", postgres_url)
    pytester.makepyfile(
        f"""
        def test_it(postgres_url):
            assert {postgres_url.partition("?")[2]!r} in postgres_url
            assert {make_url(postgres_url).database!r} not in postgres_url
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_backend_that_cannot_be_had_is_an_error_and_not_a_skip(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTPLAT_TEST_POSTGRES_URL", "postgresql://nobody@/none?host=/nowhere")
    pytester.makepyfile("def test_it(database_url): pass")
    pytester.runpytest_subprocess().assert_outcomes(passed=1, errors=1)
