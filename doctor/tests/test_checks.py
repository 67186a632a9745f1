"""How the examination goes about it: one snapshot, slices, read only, whatever the server's limits are."""

import hashlib
import re
import sys
from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from signal import SIGKILL
from subprocess import PIPE, Popen
from threading import Event, Thread
from typing import Any

import agentplat_doctor
import pytest
from agentplat_doctor import checks, second
from agentplat_doctor.asking import Answered, Connected, answer
from agentplat_doctor.beside import Beside, beside
from agentplat_doctor.checks import examine
from agentplat_doctor.questions import Statement, asked_on, counted, sieve
from agentplat_doctor.snapshot import place, snapshot
from agentplat_testkit.pooler import Pooler
from agentplat_testkit.pytest_plugin import needs_own_sessions
from sqlalchemy import Connection, create_engine, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from agentplat.domain.errors import SchemaOutdated, SettingsInvalid, StoreUnavailable
from agentplat.domain.events import KINDS
from agentplat.store.address import Address
from agentplat.store.tables import VERSION_TABLE, journal, queue, tasks

from .drills_queue import given_up_after_two_owners
from .hand import Hand, at, hand, id_of
from .healthy import NOBODY, TASKS
from .test_drills import broken


def file_of(url: str) -> Path:
    file = Address.parse(url).file
    assert file is not None
    return file


def strike(url: str, *how: Callable[[Hand], object]) -> None:
    with hand(url) as striking:
        for each in how:
            each(striking)


def test_slices_of_any_size_find_the_same(healthy_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def everywhere(striking: Hand) -> None:
        striking.do(update(tasks).values(input_tokens=tasks.c.input_tokens + 1))
        striking.do(update(journal).where(at("done", 9)).values(task_id=NOBODY))
        striking.do(update(queue).where(queue.c.worker_id.is_not(None)).values(worker_id=NOBODY))

    strike(healthy_url, everywhere)
    whole = examine(healthy_url)
    monkeypatch.setattr(checks, "SLICE", 5)
    said: list[tuple[int, int]] = []
    sliced = examine(healthy_url, lambda done, of: said.append((done, of)))

    assert sliced.findings == whole.findings
    counts = {finding.predicate.code: finding.count for finding in whole.errors}
    assert counts["totals_differ"] == len(TASKS)
    assert counts["journal_without_task"] == 1
    assert counts["owner_unknown"] == 2
    [totals] = [finding for finding in sliced.errors if finding.predicate.code == "totals_differ"]
    assert totals.examples == [str(task_id) for task_id in sorted(TASKS.values())[:5]]
    assert said[-1][0] == said[-1][1] == len(said) > 10


def test_what_is_committed_meanwhile_is_not_seen(healthy_url: str) -> None:
    def status_of(connection: Connection) -> object:
        prefix = "" if connection.dialect.name == "sqlite" else "agentplat."
        return connection.execute(text(f"SELECT DISTINCT type FROM {prefix}tasks")).scalars().all()

    with snapshot(Address.parse(healthy_url)) as connections:
        before = [status_of(connection) for connection in connections]
        strike(healthy_url, lambda striking: striking.do(update(tasks).values(type="workflow:another")))
        assert [status_of(connection) for connection in connections] == before
    with snapshot(Address.parse(healthy_url)) as connections:
        assert [status_of(connection) for connection in connections] == [["workflow:another"]] * len(connections)


@pytest.mark.parametrize("is_readable", [True, False])
def test_a_large_file_of_sqlite_is_read_by_two_processes(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, is_readable: bool
) -> None:
    def everywhere(striking: Hand) -> None:
        if not is_readable:
            striking.say("UPDATE journal SET content = 'nothing' WHERE kind = 'step_succeeded'")
        striking.do(update(tasks).values(input_tokens=tasks.c.input_tokens + 1))
        striking.do(update(journal).where(at("done", 9)).values(task_id=NOBODY))

    strike(sqlite_url, everywhere)
    monkeypatch.setattr(checks, "SLICE", 2)
    alone = examine(sqlite_url)
    asked: list[Statement] = []
    ask = Beside.ask

    def heard(second: Beside, statement: Statement, values: Mapping[str, Any]) -> Answered:
        asked.append(statement)
        return ask(second, statement, values)

    monkeypatch.setattr(Beside, "ask", heard)
    monkeypatch.setattr(checks, "ENOUGH_FOR_ONE", 0)
    assert examine(sqlite_url).findings == alone.findings
    assert ("unreadable" in {finding.predicate.code for finding in alone.errors}) is not is_readable
    assert len(alone.errors) > 1
    assert len(asked) > 2


def test_two_processes_see_one_moment_of_a_file_that_is_being_written(sqlite_url: str) -> None:
    over, written = Event(), Event()

    def write() -> None:
        with hand(sqlite_url) as striking:
            for more in cycle((1, -1)):
                if over.is_set():
                    return
                striking.do(update(tasks).values(input_tokens=tasks.c.input_tokens + more))
                written.set()

    address = Address.parse(sqlite_url)
    writer = Thread(target=write)
    writer.start()
    try:
        moments: set[bool] = set()
        met = 0
        while met < 10 or len(moments) < 2:
            written.clear()
            assert written.wait(60)
            with beside(file_of(sqlite_url)) as other, snapshot(address) as [first]:
                if not other.meet(first):
                    continue
                _, [*_, unit] = checks._units(first, "sqlite")
                seen = answer(Connected(first), unit)
                written.clear()
                assert written.wait(60)
                assert answer(other, unit) == seen
            moments.add(any(seen))
            met += 1
    finally:
        over.set()
        writer.join()


def test_a_second_process_that_is_killed_is_told_of_and_is_gone(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[Popen[bytes]] = []

    class Killed(Popen[bytes]):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            began.append(self)
            self.kill()

    monkeypatch.setattr(checks, "ENOUGH_FOR_ONE", 0)
    monkeypatch.setattr("agentplat_doctor.beside.Popen", Killed)
    with pytest.raises(StoreUnavailable, match="has ended before it answered"):
        examine(sqlite_url)
    assert [process.returncode for process in began] == [-SIGKILL]


def test_the_second_process_ends_with_the_one_that_asked(sqlite_url: str) -> None:
    """Its orders end: also when the other one was killed, and could end nothing."""
    command = [sys.executable, second.__file__, place(file_of(sqlite_url))]
    with Popen(command, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


def test_nothing_can_be_written(healthy_url: str) -> None:
    with snapshot(Address.parse(healthy_url)) as connections:
        for connection in connections:
            prefix = "" if connection.dialect.name == "sqlite" else "agentplat."
            with pytest.raises(DBAPIError, match=r"read-?only"):
                connection.execute(text(f"DELETE FROM {prefix}tasks"))


@needs_own_sessions  # those of the pooler belong to one role
def test_who_may_only_read_may_examine(postgres_url: str) -> None:
    name = f"reader_{make_url(postgres_url).database}"

    def reader(striking: Hand) -> None:
        striking.say(f"CREATE ROLE {name} LOGIN")
        striking.say(f"GRANT USAGE ON SCHEMA agentplat TO {name}")
        striking.say(f"GRANT SELECT ON ALL TABLES IN SCHEMA agentplat TO {name}")

    strike(postgres_url, reader)
    try:
        report = examine(make_url(postgres_url).set(username=name).render_as_string(hide_password=False))
        assert report.errors == []
    finally:
        strike(postgres_url, lambda striking: striking.say(f"DROP OWNED BY {name}; DROP ROLE {name}"))


def test_the_file_of_sqlite_stays_as_it_is(sqlite_url: str) -> None:
    file = Path(str(make_url(sqlite_url).database))
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    examine(sqlite_url)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


def test_no_question_to_sqlite_walks_through_a_table_for_each_row_of_another(sqlite_url: str) -> None:
    """With 20,000 tasks in a slice that is an hour for a million."""
    walks = []
    engine = create_engine(make_url(sqlite_url).set(drivername="sqlite"), poolclass=NullPool)
    with engine.connect() as connection:
        for question in asked_on("sqlite"):
            for statement in (counted(question, "sqlite"), counted(question, "sqlite", picked=True), sieve()):
                plan = text(f"EXPLAIN QUERY PLAN {statement.clause}")
                rows = connection.execute(plan, dict.fromkeys(statement.parameters, 1))
                walks += [f"{question.name}: {row.detail}" for row in rows if re.match("SCAN .* LEFT-JOIN", row.detail)]
    assert walks == []


@needs_own_sessions
def test_time_limits_of_the_server_are_no_matter(postgres_url: str) -> None:
    limits = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
    with hand(postgres_url) as striking:
        for limit in limits:
            striking.say(f"ALTER DATABASE {make_url(postgres_url).database} SET {limit} = '1s'")
    engine = create_engine(postgres_url)
    with engine.connect() as limited, pytest.raises(DBAPIError, match="timeout"):
        limited.execute(text("SELECT pg_sleep(1.5)"))
    engine.dispose()
    with snapshot(Address.parse(postgres_url)) as connections:
        for connection in connections:
            connection.execute(text("SELECT pg_sleep(1.5)"))


def test_behind_a_pooler_it_sees_the_same_and_leaves_nothing_in_a_session(postgres_url: str) -> None:
    with Pooler(postgres_url) as pooler:
        report = examine(make_url(pooler.url).update_query_dict({"pooled": "true"}).render_as_string(False))
    assert broken(report) == broken(examine(postgres_url)) == {}
    assert pooler.left_behind == []


def test_a_database_of_another_version_is_refused(healthy_url: str) -> None:
    with hand(healthy_url) as striking:
        prefix = "" if striking.is_sqlite else "agentplat."
        striking.say(f"UPDATE {prefix}{VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(SchemaOutdated, match="9999"):
        examine(healthy_url)


def test_an_empty_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(SchemaOutdated, match="db upgrade"):
        examine(f"sqlite:///{tmp_path}/empty.db")


def test_a_database_that_is_not_there_is_said_to_be_away(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"none\.db"):
        examine(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreUnavailable) as away:
        examine("postgresql://user:secret@/none?host=/nowhere")
    assert "secret" not in str(away.value)
    with pytest.raises(SettingsInvalid):
        examine("mysql://user:secret@host/name")


def test_many_are_counted_and_a_few_are_named(healthy_url: str) -> None:
    strike(healthy_url, lambda striking: striking.do(update(tasks).values(type="agent:another")))
    [finding] = [f for f in examine(healthy_url).errors if f.predicate.code == "submission_differs"]
    assert finding.count == len(TASKS)
    assert list(finding.examples) == [str(task_id) for task_id in sorted(TASKS.values())[:5]]


def test_a_task_with_two_gaps_is_one_task(healthy_url: str) -> None:
    def gaps(striking: Hand) -> None:
        striking.do(update(journal).where(at("done", 9)).values(seq=12))
        striking.do(update(journal).where(at("done", 8)).values(seq=10))

    strike(healthy_url, gaps)
    assert broken(examine(healthy_url)) == {"journal_gap": [str(id_of("done"))]}


def test_a_parent_that_fails_by_a_poisoned_child_needs_no_evidence_of_its_own(healthy_url: str) -> None:
    def inherit(hand: Hand) -> None:
        hand.do(update(tasks).where(tasks.c.id == TASKS["poisoned"]).values(parent_id=TASKS["error"]))

    strike(healthy_url, given_up_after_two_owners)
    assert list(broken(examine(healthy_url))) == ["poisoned_without_evidence"]
    strike(healthy_url, inherit)
    assert "poisoned_without_evidence" not in broken(examine(healthy_url))


def test_a_hand_strikes(healthy_url: str) -> None:
    with hand(healthy_url) as striking:
        striking.forge("done", 2, fence=9)
        content = striking.connection.execute(select(journal.c.content).where(at("done", 2))).scalar_one()
        assert content["fence"] == 9
        with pytest.raises(AssertionError):
            striking.do(update(tasks).where(tasks.c.id == NOBODY).values(type="x"))


def test_every_kind_of_event_is_known() -> None:
    questions = (Path(agentplat_doctor.__file__).parent / "sql" / "journal.sql").read_text(encoding="utf-8")
    listed = re.search(r"'unknown_event'.*?NOT IN \((.*?)\)", questions, re.DOTALL)
    assert listed is not None
    assert sorted(re.findall(r"'(\w+)'", listed[1])) == sorted(KINDS)
