"""When the keeper starts no further worker, and who the ones are that it starts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from agentplat.domain.errors import StoreUnavailable
from agentplat.runtime.keeper import Keeper, KeeperOptions

# What the keeper appends: the worker's id, the shared memory, the pipe.
NEVER_WORKS = """
import pathlib, sys, time
marks = pathlib.Path(sys.argv[2])
marks.write_text(marks.read_text() + "x")
sys.exit(int(sys.argv[1]))
"""
WORKS_EVERY_SECOND_TIME = """
import pathlib, sys, time
from agentplat.runtime.lifeline import Lifeline
marks = pathlib.Path(sys.argv[2])
marks.write_text(marks.read_text() + "x")
if len(marks.read_text()) == 5:
    sys.exit(0)
if len(marks.read_text()) % 2 == 0:
    Lifeline(int(sys.argv[4])).registered(time.monotonic())
sys.exit(int(sys.argv[1]))
"""

DIES_AT_WORK = """
import pathlib, sys, time
from agentplat.runtime.lifeline import Lifeline
marks = pathlib.Path(sys.argv[2])
marks.write_text(marks.read_text() + "x")
Lifeline(int(sys.argv[4])).registered(time.monotonic())
sys.exit(int(sys.argv[1]) if len(marks.read_text()) < 5 else 0)
"""

TELLS_ITS_ID = """
import pathlib, sys, time
marks = pathlib.Path(sys.argv[2])
marks.write_text(marks.read_text() + sys.argv[3] + " ")
sys.exit(int(sys.argv[1]))
"""


class NoDatabase:
    """Nothing was registered in one."""

    def renew(self, worker_id: UUID, lease_seconds: float) -> bool:
        return True

    def expire(self, worker_id: UUID, blame: UUID | None = None, doing: UUID | None = None) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    file = tmp_path / "marks"
    file.touch()
    return file


def kept(program: str, code: int, marks: Path, starts: int | None) -> tuple[int, int]:
    """What the keeper returns, and how many workers it started."""
    command = [sys.executable, "-c", program, str(code), str(marks)]
    returned = Keeper(command, NoDatabase, KeeperOptions(starts=starts)).serve()
    return returned, len(marks.read_text())


@pytest.mark.parametrize("starts", [None, 3])
def test_wrong_settings_are_not_tried_again(starts: int | None, marks: Path) -> None:
    assert kept(NEVER_WORKS, 2, marks, starts) == (2, 1)


def test_a_worker_that_never_comes_to_work_is_tried_as_often_as_told(marks: Path) -> None:
    assert kept(NEVER_WORKS, 1, marks, 2) == (1, 2)


def test_one_that_came_to_work_counts_anew(marks: Path) -> None:
    assert kept(WORKS_EVERY_SECOND_TIME, 1, marks, 2) == (0, 5)


@pytest.mark.parametrize(("steady", "pauses"), [(0.0, [0.0, 0.0, 0.0, 0.0]), (60.0, [0.2, 0.4, 0.8, 1.6])])
def test_only_one_that_worked_for_a_while_is_replaced_without_a_pause(
    steady: float, pauses: list[float], marks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = [sys.executable, "-c", DIES_AT_WORK, "1", str(marks)]

    assert Keeper(command, NoDatabase, KeeperOptions(steady_seconds=steady)).serve() == 0

    assert [vars(record)["restart_in"] for record in caplog.records if record.msg == "worker_died"] == pauses


def test_one_that_lived_long_without_coming_to_work_is_no_steady_worker(
    marks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = [sys.executable, "-c", NEVER_WORKS, "1", str(marks)]

    assert Keeper(command, NoDatabase, KeeperOptions(steady_seconds=0.0, starts=3)).serve() == 1

    assert [vars(record)["restart_in"] for record in caplog.records if record.msg == "worker_died"] == [0.2, 0.4]


def test_a_steady_worker_is_replaced_at_once_whatever_came_before_it(
    marks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = [sys.executable, "-c", WORKS_EVERY_SECOND_TIME, "1", str(marks)]

    assert Keeper(command, NoDatabase, KeeperOptions(steady_seconds=0.0)).serve() == 0

    pauses = [vars(record)["restart_in"] for record in caplog.records if record.msg == "worker_died"]
    assert pauses == [0.2, 0.0, 0.2, 0.0], "the first and third never came to work"


def test_every_worker_has_an_id_of_its_own(marks: Path) -> None:
    for _ in range(2):
        kept(TELLS_ITS_ID, 1, marks, 2)
    ids = [UUID(text) for text in marks.read_text().split()]
    assert len(set(ids)) == len(ids) == 4


ENDS_WHEN_ITS_ROW_IS_GONE = """
import pathlib, sys, time
from agentplat.runtime.lifeline import Lifeline
marks = pathlib.Path(sys.argv[2])
Lifeline(int(sys.argv[4])).registered(time.monotonic())
while not marks.read_text():
    time.sleep(0.01)
time.sleep(float(sys.argv[1]))
"""


class RowGone(NoDatabase):
    """The worker took its row away, as the last thing that it does, and the keeper sees that."""

    def __init__(self, marks: Path) -> None:
        self.marks = marks
        self.seen_again: Callable[[], None] = lambda: None

    def renew(self, worker_id: UUID, lease_seconds: float) -> bool:
        if self.marks.read_text():
            self.seen_again()
        self.marks.write_text("seen")
        return False


@pytest.mark.parametrize(
    ("lingers", "logged"), [(0.1, []), (60, ["worker_row_is_gone", "worker_died"])], ids=["ends", "lingers"]
)
def test_a_worker_that_ends_by_itself_may_take_its_row_away(
    lingers: float, logged: list[str], marks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = RowGone(marks)
    keeper = Keeper(
        [sys.executable, "-c", ENDS_WHEN_ITS_ROW_IS_GONE, str(lingers), str(marks)], lambda: database, KeeperOptions()
    )
    database.seen_again = keeper.stop  # of the second worker, if there is one

    assert keeper.serve() == 0

    assert [record.msg for record in caplog.records] == logged


LIVES = """
import pathlib, sys, time
from agentplat.runtime.lifeline import Lifeline
Lifeline(int(sys.argv[4])).registered(time.monotonic() - float(sys.argv[1]))
time.sleep(600)
"""


class Away(NoDatabase):
    """It registered the worker, and confirms nothing since."""

    def __init__(self) -> None:
        self.expired: Callable[[], None] = lambda: None

    def renew(self, worker_id: UUID, lease_seconds: float) -> bool:
        raise StoreUnavailable("It is away.")

    def expire(self, worker_id: UUID, blame: UUID | None = None, doing: UUID | None = None) -> None:
        self.expired()


def test_a_lease_counts_from_before_it_was_registered(marks: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What confirms a registration may be long on its way."""
    database, ago, lease = Away(), 100.0, 130.0
    keeper = Keeper(
        [sys.executable, "-c", LIVES, str(ago), str(marks)], lambda: database, KeeperOptions(lease_seconds=lease)
    )
    database.expired = keeper.stop
    began = time.monotonic()

    assert keeper.serve() == 0

    assert "lease_not_confirmed_in_time" in [record.msg for record in caplog.records]
    assert ago + time.monotonic() - began < lease
