import socket
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from agentplat_testkit.pgbouncer import is_installed, pgbouncer
from agentplat_testkit.pooler import Pooler
from agentplat_testkit.wire import Messages
from sqlalchemy.engine import make_url


def connect(url: str, options: str | None = None, prepare_threshold: int | None = None) -> psycopg.Connection:
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(address, connect_timeout=60, options=options, prepare_threshold=prepare_threshold)


@pytest.fixture
def pooler(postgres_url: str) -> Iterator[Pooler]:
    with Pooler(postgres_url) as pooler:
        yield pooler


def ask(connection: psycopg.Connection, question: str) -> object:
    row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def test_a_transaction_keeps_its_session_and_the_next_one_gets_another(postgres_url: str) -> None:
    with Pooler(postgres_url) as pooler, connect(pooler.url) as connection:
        seen = []
        for _ in range(8):
            seen.append(ask(connection, "select pg_backend_pid()"))
            connection.execute("create table if not exists kept (number int)")
            connection.execute("insert into kept values (%s)", [1])
            assert ask(connection, "select pg_backend_pid()") == seen[-1]
            connection.commit()
        assert seen[:4] == seen[4:]
        assert len(set(seen)) == 4
        assert ask(connection, "select count(*) from kept") == 8
    assert pooler.left_behind == []
    assert pooler.transactions == 9


def test_many_clients_share_the_sessions(pooler: Pooler, postgres_url: str) -> None:
    clients = [connect(pooler.url) for _ in range(12)]
    for client in clients:
        client.autocommit = True
        assert ask(client, "select repeat('x', 1000000)") == "x" * 1_000_000
    with connect(postgres_url) as direct:
        of_ours = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        assert ask(direct, of_ours) == 4
    for client in clients:
        client.close()


def test_a_pipeline_is_one_transaction(pooler: Pooler) -> None:
    with connect(pooler.url) as connection:
        connection.autocommit = True
        with connection.pipeline():
            cursors = [connection.execute("select pg_backend_pid(), %s::int", [number]) for number in range(5)]
        rows = [cursor.fetchone() for cursor in cursors]
        assert len({row[0] for row in rows if row is not None}) == 1
        assert [row[1] for row in rows if row is not None] == list(range(5))


def test_who_asks_on_before_the_answer_is_there_keeps_the_session(pooler: Pooler) -> None:
    """What comes in one piece with the end of a transaction may be the first half of the next one."""
    url = make_url(pooler.url)
    with connect(pooler.url) as other, socket.create_connection((url.host, url.port), timeout=60) as client:
        other.autocommit = True
        answers = Messages(from_client=False)
        client.sendall(said("", b"\0\3\0\0" + f"user\0{url.username}\0database\0{url.database}\0\0".encode()))
        assert answered(client, answers)[0] == "R"
        client.sendall(asked("select 1") + said("S") + asked("select 2")[:-10])
        assert answered(client, answers) == ["1", "2", "D", "C", "Z"]
        for number in range(8):
            assert ask(other, f"select {number}") == number
        client.sendall(asked("select 2")[-10:] + said("S"))
        assert answered(client, answers) == ["1", "2", "D", "C", "Z"]
        assert pooler.asked_early == 0  # it came in one piece, so nobody could tell
        client.sendall(asked("select pg_sleep(0.5)") + said("S"))
        until(lambda: pooler.transactions == 10)
        client.sendall(asked("select 2") + said("S"))
        assert answered(client, answers)[-1] == "Z"
        assert pooler.asked_early == 1


def until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.01)


def said(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + (len(body) + 4).to_bytes(4, "big") + body


def asked(question: str) -> bytes:
    """Prepared, bound and executed; of the last message there are ten bytes."""
    return said("P", f"\0{question}\0".encode() + bytes(2)) + said("B", bytes(8)) + said("E", bytes(5))


def answered(client: socket.socket, answers: Messages) -> list[str]:
    """The kinds of the answers, to the one that says that the server waits for more."""
    found: list[str] = []
    while "Z" not in found:
        piece = client.recv(65536)
        assert piece, "hung up"
        found += [message.kind for message in answers.add(piece)]
    return found


def test_a_transaction_that_failed_is_over_when_it_is_rolled_back(pooler: Pooler) -> None:
    with connect(pooler.url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select 1/0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("select 1")
        connection.rollback()
        assert ask(connection, "select 1") == 1


def test_what_a_transaction_left_half_way_is_rolled_back(pooler: Pooler, postgres_url: str) -> None:
    connection = connect(pooler.url)
    connection.execute("create table kept (number int)")
    connection.close()
    with connect(postgres_url) as direct:
        assert ask(direct, "select to_regclass('kept') is null")


def test_a_prepared_statement_is_not_there_in_the_next_transaction(pooler: Pooler) -> None:
    with connect(pooler.url, prepare_threshold=5) as connection:
        connection.execute("select %s::int", [1], prepare=True)
        connection.commit()
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            connection.execute("select %s::int", [2], prepare=True)


@pytest.mark.parametrize(
    ("left", "found"),
    [
        ("prepare mine as select 1", "the prepared statement prepare mine as select 1"),
        ("set work_mem = '5MB'", "the setting work_mem = 5120"),
        ("listen news", "a listener on news"),
        ("select pg_advisory_lock(7)", "an advisory lock"),
        ("create temporary table mine (number int)", "the temporary table mine"),
        ("declare mine cursor with hold for select 1", "the cursor mine"),
    ],
)
def test_what_was_left_in_a_session_is_found(postgres_url: str, left: str, found: str) -> None:
    with Pooler(postgres_url) as pooler, connect(pooler.url) as connection:
        connection.autocommit = True
        connection.execute(left.encode())
    assert pooler.left_behind == [found]


def test_what_was_set_for_a_transaction_only_is_not_left(postgres_url: str) -> None:
    with Pooler(postgres_url) as pooler, connect(pooler.url) as connection:
        connection.execute("select set_config('work_mem', '5MB', true), pg_advisory_xact_lock(7)")
    assert pooler.left_behind == []


def test_parameters_that_a_pooler_does_not_take_are_refused(pooler: Pooler) -> None:
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter: options"):
        connect(pooler.url, options="-c statement_timeout=1000")
    connect(pooler.url).close()


@pytest.mark.skipif(not is_installed(), reason="no PgBouncer is installed")
def test_the_real_one_is_as_strict(postgres_url: str) -> None:
    with pgbouncer(postgres_url) as behind:
        with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter: options"):
            connect(behind, options="-c statement_timeout=1000")
        with connect(behind) as connection:
            assert ask(connection, "select 1") == 1
