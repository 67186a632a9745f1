"""Waiting survives that everything is killed: API, keeper, worker, and on PostgreSQL the server itself."""

import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agentplat_migrations.schema import upgrade
from agentplat_testkit.databases import SqliteDatabases
from agentplat_testkit.postgres import PostgresServer

from agentplat.store.address import Address

from .processes import Workers, children, send, wait_for, write_project
from .serving import Api, served
from .test_foreach_killed import kill
from .test_kills import is_dead
from .traffic import told

SECONDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Of the timers. Some fall into the time in which nothing runs, some into the time after it, however long that is."""

ASKING = """name: asking
strategy: sequential
steps:
  - {name: sign_off, approval: {message: "Publish ${{ input.topic }}?", form: {comment: string}}}
  - {name: publish, agent: stepper, input: {step: "${{ steps.sign_off.output.comment }}", pause: 0.0}}
"""
TOLD = """name: told
strategy: sequential
steps:
  - {name: before, wait: {duration: 5s}}
  - {name: answer, wait: {signal: go}}
  - {name: after, agent: stepper, input: {step: "${{ steps.answer.output }}", pause: 0.0}}
"""
TIMED = """name: timed_%d
strategy: sequential
steps:
  - {name: rest, wait: {duration: %ds}}
  - {name: after, agent: stepper, input: {step: rested, pause: 0.0}}
"""


def write_workflows(folder: Path) -> None:
    write_project(folder)
    texts = {"asking": ASKING, "told": TOLD, **{f"timed_{n}": TIMED % (n, n) for n in SECONDS}}
    for name, text in texts.items():
        (folder / "workflows" / f"{name}.yaml").write_text(text)


@dataclass(frozen=True)
class Place:
    """A database, and how its server is killed and comes back; SQLite has none."""

    url: str
    server: PostgresServer | None = None

    def kill(self) -> None:
        if self.server is None:
            return
        assert self.server.pid is not None
        processes = [*children(self.server.pid), self.server.pid]
        for pid in processes:
            send(pid, signal.SIGKILL)
        self.server.stop(signal.SIGKILL)
        wait_for(lambda: all(map(is_dead, processes)))

    def start(self) -> None:
        if self.server is None:
            return
        self.server.start()
        assert self.server.recoveries > 0, "it was not killed"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, sqlite_databases: SqliteDatabases) -> Iterator[Place]:
    if request.param == "sqlite":
        url = re.sub(r"^(\w+)\+\w+:", r"\1:", sqlite_databases.fresh())
        upgrade(url)
        yield Place(url)
        return
    with PostgresServer(durable=True) as server:
        upgrade(server.url())
        yield Place(f"postgresql://{Address.parse(server.url()).rest}", server)


class Caller:
    """Somebody who speaks to the API."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = self._api.session.request(method, f"{self._api.url}{path}", json=body, timeout=60)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def submit(self, workflow: str, **given: Any) -> str:
        return str(self.ask("POST", "/tasks", {"type": f"workflow:{workflow}", "input": given})["id"])

    def status(self, id_: str) -> str:
        return str(self.ask("GET", f"/tasks/{id_}")["status"])

    def until(self, id_: str, *statuses: str) -> None:
        wait_for(lambda: self.status(id_) in statuses, seconds=300)

    def asked(self) -> list[str]:
        return [approval["task_id"] for approval in self.ask("GET", "/v1/approvals")]

    def outputs(self, id_: str) -> dict[str, Any]:
        return {step["name"]: step["output"] for step in self.ask("GET", f"/tasks/{id_}")["subtasks"]}

    def events(self, id_: str, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.ask("GET", f"/v1/tasks/{id_}/journal") if event["kind"] == kind]

    def kill(self) -> None:
        self._api.process.kill()
        assert self._api.process.wait() == -signal.SIGKILL


def moment(event: Mapping[str, Any]) -> datetime:
    """By the database's clock."""
    return datetime.fromisoformat(event["at"])


def due(caller: Caller, id_: str) -> datetime:
    [waited] = wait_for(lambda: caller.events(id_, "wait_started"))
    return moment(waited) + timedelta(seconds=waited["content"]["delay"])


@pytest.fixture
def workers(tmp_path: Path, place: Place) -> Iterator[Workers]:
    write_workflows(tmp_path)
    workers = Workers(tmp_path, place.url)
    yield workers
    workers.end()


@pytest.mark.timeout(900)
def test_approvals_timers_and_signals_survive_that_everything_is_killed(
    place: Place, workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = workers.start()
    with served(workers.folder, place.url) as api:
        caller = Caller(api)
        first, second = caller.submit("asking", topic="tea"), caller.submit("asking", topic="coffee")
        times = {id_: due(caller, id_) for id_ in [caller.submit(f"timed_{seconds}") for seconds in SECONDS]}
        parked = caller.submit("told")
        for id_ in (first, second, parked):
            caller.until(id_, "waiting")
        caller.kill()
    kill(keeper)
    place.kill()
    gone = datetime.now(UTC)
    during = next(at for at in times.values() if at > gone + timedelta(seconds=0.5))
    time.sleep((during - gone).total_seconds() + 0.5)  # a timer is due while nothing runs
    place.start()

    with served(workers.folder, place.url) as api:
        caller = Caller(api)
        # Only the API is there: the questions are still asked, and what is said to tasks waits for them.
        assert set(caller.asked()) == {first, second}
        assert [caller.status(id_) for id_ in (first, second)] == ["waiting"] * 2
        assert all(at < gone for id_, at in times.items() if caller.events(id_, "timer_fired")), "a worker is there"
        answer(caller, first, "while only the API is there")
        unseen = caller.submit("told")
        for id_ in (parked, unseen):
            caller.ask("POST", f"/v1/tasks/{id_}:signal", {"name": "go", "payload": "early"})
            assert len(caller.events(id_, "wait_started")) < 2, "its wait for the signal has not begun"

        workers.start()
        caller.until(first, "done")
        back = datetime.now(UTC)
        assert caller.asked() == [second]
        answer(caller, second, "afterwards")
        for id_ in (second, parked, unseen):
            caller.until(id_, "done")
        after = next(at for at in times.values() if at > back)
        for id_, at in times.items():
            if at <= after:
                caller.until(id_, "done")
        lateness = {id_: moment(caller.events(id_, "timer_fired")[0]) - at for id_, at in times.items() if at <= after}
        said = {id_: caller.outputs(id_) for id_ in (first, second, parked, unseen)}
        order = [[event["kind"] for event in caller.ask("GET", f"/v1/tasks/{id_}/journal")] for id_ in (parked, unseen)]

    assert [said[id_]["publish"]["step"] for id_ in (first, second)] == ["while only the API is there", "afterwards"]
    for id_, kinds in zip((parked, unseen), order, strict=True):
        assert said[id_]["after"]["step"] == "early"
        second_wait = [n for n, kind in enumerate(kinds) if kind == "wait_started"][1]
        assert kinds.index("signal_received") < second_wait
    assert all(late >= timedelta(0) for late in lateness.values()), f"fired before its time: {lateness}"
    # Both kinds of time were met: one timer was due while nothing ran, and one after all was back.
    assert gone < during < back < after
    stood_still = (back - gone).total_seconds()
    told(capsys, f"everything killed: no task went on for {stood_still:.1f} s; {_late(times, lateness, gone, back)}")


def answer(caller: Caller, id_: str, comment: str) -> None:
    caller.ask("POST", f"/v1/tasks/{id_}:approve", {"answers": {"comment": comment}})


def _late(times: Mapping[str, datetime], lateness: Mapping[str, timedelta], gone: datetime, back: datetime) -> str:
    def of(is_one: Callable[[datetime], bool]) -> str:
        return (
            ", ".join(f"{late.total_seconds():.3f}" for id_, late in lateness.items() if is_one(times[id_])) or "none"
        )

    before, meanwhile = of(lambda at: at < gone), of(lambda at: gone <= at < back)
    return f"timers were late by s: due before {before}; meanwhile {meanwhile}; afterwards {of(lambda at: at >= back)}"
