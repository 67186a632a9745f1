"""The process that stands by, and what becomes of a dead worker's tasks when the database does not answer."""

from __future__ import annotations

import sys
from pathlib import Path
from uuid import UUID

import pytest

from agentplat.domain.errors import StoreUnavailable
from agentplat.runtime.keeper import Keeper, KeeperOptions

# Told by `marks`: each process that started, and each that began to work. `lives` says how each that works ends.
WORKER = """
import os, pathlib, sys, time
from agentplat.runtime import lifeline
from agentplat.runtime.lifeline import Lifeline
marks, lives, memory, alive = pathlib.Path(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[4]), int(sys.argv[5])
def mark(what):
    with marks.open("a") as file:
        file.write(f"{what} {os.getpid()}\\n")
def marked(what):
    return [line.split()[1] for line in marks.read_text().splitlines() if line.startswith(what)]
mark("started")
if not os.read(alive, 1):
    sys.exit(1)
mark("began")
Lifeline(memory).registered()
how = lives[len(marked("began")) - 1]
if how.startswith("decides"):
    line = Lifeline(memory)
    line.decides("TASK")
    if how == "decides_without_end":
        lifeline.time.monotonic = lambda: -lifeline.LONGEST_DECISION + 1
        line.decides("TASK")
        time.sleep(60)
    os.kill(os.getpid(), 9)
if how == "until_there_is_a_spare":
    while marked("started")[-1] in marked("began"):
        time.sleep(0.01)
if how == "until_the_spare_is_killed":
    while marked("started")[-1] in marked("began"):
        time.sleep(0.01)
    os.kill(int(marked("started")[-1]), 9)
time.sleep(2.0 if how == "for_long" else 0.3)
sys.exit(1 if how == "for_a_moment" or how.startswith("until") else 0)
"""


TASK = UUID(int=7)
WORKER = WORKER.replace("TASK", str(TASK))


class Database:
    """Away as often as told."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.expired: list[UUID] = []
        self.charged: list[tuple[UUID | None, UUID | None]] = []

    def renew(self, worker_id: UUID, lease_seconds: float) -> bool:
        return True

    def expire(self, worker_id: UUID, blame: UUID | None = None, doing: UUID | None = None) -> None:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("It is away.")
        self.expired.append(worker_id)
        self.charged.append((blame, doing))

    def close(self) -> None: ...


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks"


def kept(marks: Path, *lives: str, spare: bool = True, database: Database | None = None) -> None:
    command = [sys.executable, "-c", WORKER, str(marks), ",".join(lives)]
    database = database or Database()
    assert Keeper(command, lambda: database, KeeperOptions(steady_seconds=0.1, spare=spare)).serve() == 0


def marked(marks: Path, what: str) -> list[int]:
    return [int(line.split()[1]) for line in marks.read_text().splitlines() if line.startswith(what)]


def test_the_spare_takes_over_from_a_worker_that_died(marks: Path) -> None:
    kept(marks, "until_there_is_a_spare", "until_there_is_a_spare", "to_the_end")

    started, began = marked(marks, "started"), marked(marks, "began")
    assert began == started[:3]


def test_a_spare_that_died_is_not_waited_for(marks: Path) -> None:
    kept(marks, "until_the_spare_is_killed", "to_the_end")

    started, began = marked(marks, "started"), marked(marks, "began")
    assert began == [started[0], started[2]], "the second one was the spare"


def test_the_spare_ends_with_its_keeper(marks: Path) -> None:
    kept(marks, "until_there_is_a_spare", "until_there_is_a_spare", "to_the_end")

    assert [pid for pid in marked(marks, "started") if Path(f"/proc/{pid}").exists()] == []


def test_a_spare_that_cannot_be_started_costs_the_worker_nothing(marks: Path, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nrm "$0"\nexec {sys.executable} "$@"\n')  # there for one start only
    program.chmod(0o755)
    command = [str(program), "-c", WORKER, str(marks), "for_long"]
    assert Keeper(command, Database, KeeperOptions(steady_seconds=0.1)).serve() == 0

    assert len(marked(marks, "started")) == 1
    assert not program.exists()


def test_no_spare_stands_by_where_none_is_wanted(marks: Path) -> None:
    kept(marks, "for_a_moment", "to_the_end", spare=False)

    assert len(marked(marks, "started")) == 2


def test_what_a_dead_worker_owned_is_handed_back_when_the_database_answers_again(marks: Path) -> None:
    database = Database(away=2)
    kept(marks, "for_a_moment", "for_long", database=database)

    assert len(database.expired) == 1, "not before the end of its lease"


def test_the_keeper_says_on_what_a_worker_decided_when_it_died(marks: Path) -> None:
    database = Database()
    kept(marks, "decides", "for_long", database=database)
    assert database.charged == [(None, TASK)]


def test_a_decision_without_end_costs_the_worker_its_life_and_the_task_is_to_blame(marks: Path) -> None:
    database = Database()
    kept(marks, "decides_without_end", "for_long", database=database)
    assert database.charged == [(TASK, TASK)]
