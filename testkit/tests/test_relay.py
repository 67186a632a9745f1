import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import psycopg
import pytest
from agentplat_testkit.relay import ACKNOWLEDGEMENT_BYTES, COMMIT_BYTES, Fault, Relay
from agentplat_testkit.wire import Message
from sqlalchemy.engine import make_url


def connect(url: str) -> psycopg.Connection:
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(address, connect_timeout=60)


@pytest.fixture
def relay(postgres_url: str) -> Iterator[Relay]:
    with Relay(postgres_url) as relay:
        yield relay


@pytest.fixture
def direct(postgres_url: str) -> Iterator[psycopg.Connection]:
    with connect(postgres_url) as connection:
        connection.autocommit = True
        connection.execute("create table kept (number int)")
        yield connection


def kept(direct: psycopg.Connection) -> list[int]:
    return [number for (number,) in direct.execute("select number from kept order by number")]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def in_background(work: Callable[[], object]) -> Iterator["Future[object]"]:
    done: Future[object] = Future()

    def working() -> None:
        try:
            done.set_result(work())
        except psycopg.Error as error:
            done.set_exception(error)

    thread = threading.Thread(target=working)
    thread.start()
    yield done
    thread.join()


def test_all_that_is_said_goes_through(relay: Relay, direct: psycopg.Connection) -> None:
    with connect(relay.url) as connection:
        assert connection.execute("select repeat('x', 3000000)").fetchone() == ("x" * 3_000_000,)
        assert connection.execute("select length(%s::text)", ["y" * 3_000_000]).fetchone() == (3_000_000,)
        connection.execute("insert into kept values (1)")
    assert kept(direct) == [1]
    assert not relay.struck


@pytest.mark.parametrize("at", [0, 1, 5, 11])
def test_a_commit_that_did_not_arrive_whole_is_not_done(relay: Relay, direct: psycopg.Connection, at: int) -> None:
    with connect(relay.url) as connection:
        connection.execute("insert into kept values (1)")
        relay.cut_commit(at)
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    assert kept(direct) == []
    assert relay.struck == {Fault.COMMIT_CUT: 1}
    assert not relay.is_armed


@pytest.mark.parametrize("at", [0, 1, ACKNOWLEDGEMENT_BYTES - 1, ACKNOWLEDGEMENT_BYTES])
def test_a_commit_whose_answer_was_cut_is_done(relay: Relay, direct: psycopg.Connection, at: int) -> None:
    with connect(relay.url) as connection:
        connection.execute("insert into kept values (1)")
        relay.cut_acknowledgement(at)
        if at < ACKNOWLEDGEMENT_BYTES:
            with pytest.raises(psycopg.OperationalError):
                connection.commit()
        else:
            connection.commit()
    assert kept(direct) == [1]
    assert relay.struck == {Fault.ACKNOWLEDGEMENT_CUT: 1}


@pytest.mark.parametrize(("cut", "found"), [(Relay.cut_commit, []), (Relay.cut_acknowledgement, [1])])
def test_a_commit_in_a_pipeline_is_cut_too(
    relay: Relay, direct: psycopg.Connection, cut: Callable[[Relay], None], found: list[int]
) -> None:
    def insert() -> None:
        with connection.pipeline():
            connection.execute("insert into kept values (1)")
            connection.commit()

    with connect(relay.url) as connection:
        cut(relay)
        with pytest.raises(psycopg.OperationalError):
            insert()
    assert kept(direct) == found
    assert relay.struck.total() == 1
    assert (
        relay.cut_size
        == {Fault.COMMIT_CUT: COMMIT_BYTES, Fault.ACKNOWLEDGEMENT_CUT: ACKNOWLEDGEMENT_BYTES}[next(iter(relay.struck))]
    )


@pytest.mark.parametrize(("cut", "found"), [(Relay.cut_commit, []), (Relay.cut_acknowledgement, [1, 2])])
def test_what_commits_without_saying_so_is_cut_too(
    relay: Relay, direct: psycopg.Connection, cut: Callable[[Relay], None], found: list[int]
) -> None:
    def insert() -> None:
        with connection.pipeline():
            for number in (1, 2):
                connection.execute("insert into kept values (%s)", [number])

    with connect(relay.url) as connection:
        connection.autocommit = True
        cut(relay)
        connection.execute("select 1")  # commits nothing
        assert relay.is_armed
        with pytest.raises(psycopg.OperationalError):
            insert()
    assert kept(direct) == found
    assert relay.struck.total() == 1


def test_a_commit_that_was_prepared_long_ago_is_seen(relay: Relay, direct: psycopg.Connection) -> None:
    with connect(relay.url) as connection:
        connection.autocommit, connection.prepare_threshold = True, 0
        for number in range(2):
            connection.execute("begin")
            connection.execute("insert into kept values (%s)", [number])
            connection.execute("commit")
        connection.execute("begin")
        relay.cut_acknowledgement()
        connection.execute("insert into kept values (2)")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("commit")
    assert kept(direct) == [0, 1, 2]
    assert relay.struck == {Fault.ACKNOWLEDGEMENT_CUT: 1}


def test_the_commit_of_one_statement_can_be_chosen_and_followed_by_more(
    relay: Relay, direct: psycopg.Connection
) -> None:
    with connect(relay.url) as connection:
        relay.cut_acknowledgement(of="values (2)", then=relay.refuse)
        for number in (1, 2):
            connection.execute(f"insert into kept values ({number})".encode())
            if number == 1:
                connection.commit()
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    with pytest.raises(psycopg.OperationalError):
        connect(relay.url)
    assert kept(direct) == [1, 2]
    assert relay.struck[Fault.ACKNOWLEDGEMENT_CUT] == 1


def test_a_reset_ends_the_connection_that_speaks_and_no_other(relay: Relay, direct: psycopg.Connection) -> None:
    with connect(relay.url) as quiet, connect(relay.url) as speaking:
        relay.reset()
        with pytest.raises(psycopg.OperationalError):
            speaking.execute("insert into kept values (1)")
        quiet.execute("insert into kept values (2)")
        relay.reset(of="values (4)")
        quiet.execute("insert into kept values (3)")
        with pytest.raises(psycopg.OperationalError):
            quiet.execute("insert into kept values (4)")
    assert relay.struck == {Fault.RESET: 2}


def test_a_black_hole_swallows_all_and_answers_nobody_until_it_is_mended(
    relay: Relay, direct: psycopg.Connection
) -> None:
    with connect(relay.url) as connection:
        relay.black_hole()
        with (
            in_background(lambda: connection.execute("insert into kept values (1)")) as insert,
            in_background(lambda: connect(relay.url)) as newcomer,
        ):
            until(lambda: relay.struck[Fault.BLACK_HOLE] == 2)
            assert not insert.done()
            assert not newcomer.done()
            relay.mend()
            for swallowed in (insert, newcomer):
                with pytest.raises(psycopg.OperationalError):
                    swallowed.result(60)
    assert kept(direct) == []
    with connect(relay.url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_the_server_of_a_half_open_connection_is_gone_and_the_client_does_not_know(
    relay: Relay, direct: psycopg.Connection
) -> None:
    with connect(relay.url) as connection:
        backend = connection.info.backend_pid
        relay.half_open()
        with in_background(lambda: connection.execute("select 1")) as asking:
            gone = "select not exists (select from pg_stat_activity where pid = %s)"
            until(lambda: direct.execute(gone, [backend]).fetchone() == (True,))
            assert not asking.done()
            relay.mend()
            with pytest.raises(psycopg.OperationalError):
                asking.result(60)
    assert relay.struck == {Fault.HALF_OPEN: 1}


@pytest.mark.parametrize(
    ("hinder", "fault"),
    [(lambda relay: relay.slow_down(0.01), Fault.DELAY), (lambda relay: relay.narrow(50_000), Fault.THROTTLE)],
    ids=["delay", "throttle"],
)
def test_a_bad_wire_is_slow_and_nothing_else(
    relay: Relay, direct: psycopg.Connection, hinder: Callable[[Relay], None], fault: Fault
) -> None:
    hinder(relay)
    with connect(relay.url) as connection:
        assert connection.execute("select repeat('x', 1000)").fetchone() == ("x" * 1000,)
        connection.execute("insert into kept values (1)")
    assert kept(direct) == [1]
    assert relay.struck[fault] > 1


def test_a_refusing_wire_throws_everybody_out_and_lets_nobody_in(relay: Relay) -> None:
    with connect(relay.url) as connection:
        relay.refuse()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
        with pytest.raises(psycopg.OperationalError):
            connect(relay.url)
    assert relay.struck[Fault.REFUSAL] >= 2
    relay.mend()
    connect(relay.url).close()


def test_a_server_that_is_away_is_away_behind_the_relay() -> None:
    with Relay("postgresql://nobody@/nothing?host=/nonexistent") as relay, pytest.raises(psycopg.OperationalError):
        connect(relay.url)


def test_what_clients_say_is_heard(postgres_url: str) -> None:
    heard: list[Message] = []
    with Relay(postgres_url, heard=heard.append) as relay, connect(relay.url) as connection:
        connection.execute("select 1")
        connection.execute("select %s::int", [2], prepare=True)
    assert heard[0].startup_parameters["user"] == make_url(postgres_url).username
    assert [message.statement for message in heard if message.kind == "Q"] == ["BEGIN", "select 1", "COMMIT"]
    [parsed] = [message for message in heard if message.kind == "P"]
    assert (parsed.statement, bool(parsed.prepared_name)) == ("select $1::int", True)
