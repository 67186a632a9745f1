"""What must be true of every task of `kinds` in the end, whatever happened to those who worked on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Store, TaskRow
from agentplat.domain.events import (
    CancelRequested,
    ChildDispatched,
    Event,
    Recorded,
    RetryScheduled,
    SignalReceived,
    StepFailed,
    StepStarted,
    StepSucceeded,
    TaskClaimed,
    TaskFinished,
    TimerFired,
    WaitStarted,
)
from agentplat.domain.failure import FailureCode
from agentplat.domain.task import TaskState

from .kinds import REST, Kinds
from .processes import MEMBERS, STEPS
from .traffic import begun, check_executions, check_frame, check_history, check_order

E = TypeVar("E", bound=Event)
_AT_ONCE = 500  # journals


@dataclass
class Ends:
    """What was found, and what it is held against."""

    kinds: Kinds
    rows: Mapping[UUID, TaskRow]
    executions: Mapping[UUID, Counter[str]]
    claims: int = 0
    ends: Counter[str] = field(default_factory=Counter)  # how many ended how; "retried" is counted beside
    members: list[UUID] = field(default_factory=list)  # executions that are tasks of their own

    def check(self, row: TaskRow, journal: Sequence[Recorded]) -> None:
        where = f"{row.type} {row.id}"
        self.claims += len(_all(journal, TaskClaimed))
        executions = self.executions.get(row.id, Counter())
        if _is_poisoned(row):
            self._check_poisoned(where, row, journal)
        elif row.status is TaskState.CANCELLED:
            self._check_cancelled(where, row, journal)
            check_executions(where, journal, self._named(row, executions))
        else:
            assert row.status is TaskState.DONE, f"{where}: {row}"
            self._check_done(where, row, journal, self._named(row, executions))
        assert [end.status for end in _all(journal, TaskFinished)] == [row.status.value], where
        self.ends["poisoned" if _is_poisoned(row) else row.status] += 1

    def _check_poisoned(self, where: str, row: TaskRow, journal: Sequence[Recorded]) -> None:
        """Three workers died with it, one after the other; or with one of its children."""
        if any(child.parent and child.parent.id == row.id and _is_poisoned(child) for child in self.rows.values()):
            return
        assert len(_all(journal, TaskClaimed)) >= 3, f"{where} is called poisoned"

    def _check_cancelled(self, where: str, row: TaskRow, journal: Sequence[Recorded]) -> None:
        """Somebody wanted that, and nothing was begun afterwards."""
        parent = self.rows[row.parent.id] if row.parent else None
        if parent is None:
            assert row.id in self.kinds.cancelled - self.kinds.too_late, f"{where}: nobody cancelled it"
        else:
            assert parent.status is TaskState.CANCELLED or _is_poisoned(parent), f"{where}: its parent goes on"
        (check_frame if row.type == "workflow:family" else check_order)(where, journal)
        events = [each.event for each in journal]
        # Its owner may have died of it: then it was asked once more, and ended by hand.
        asked = next(n for n, event in enumerate(events) if isinstance(event, CancelRequested))
        later = [event for event in events[asked:] if isinstance(event, StepStarted | ChildDispatched | WaitStarted)]
        assert later == [], f"{where}: after it was cancelled"

    def _check_done(self, where: str, row: TaskRow, journal: Sequence[Recorded], executions: Counter[str]) -> None:
        match row.type.removeprefix("workflow:"):
            case "family":
                self._check_family(where, journal)
            case "ten":
                check_history(where, journal, STEPS, executions)
            case "timed":
                check_history(where, journal, ["before", "after"], executions, ["rest"])
                check_timer(where, journal)
            case "told":
                check_history(where, journal, ["before", "after"], executions, ["answer"])
                payload = self.kinds.signalled.get(row.id)
                assert payload is not None, f"{where}: it was told nothing"
                assert [signal.payload for signal in _all(journal, SignalReceived)] == [payload], where
                assert row.output == {"heard": payload}, where
            case "retried":
                check_history(where, journal, ["before", "again"], executions)
                self.ends["retried"] += check_tries(where, journal)
            case _:
                check_history(where, journal, ["stepper"], executions)

    def _check_family(self, where: str, journal: Sequence[Recorded]) -> None:
        """Of each step one child, however often its parent changed hands."""
        check_frame(where, journal)
        sent = _all(journal, ChildDispatched)
        assert sorted(str(event.path) for event in sent) == sorted(MEMBERS), where
        assert Counter(str(event.path) for event in _all(journal, StepSucceeded)) == Counter(MEMBERS), where
        assert all(self.rows[event.execution_id].status is TaskState.DONE for event in sent), where
        self.members += [event.execution_id for event in sent]

    @staticmethod
    def _named(row: TaskRow, executions: Counter[str]) -> Counter[str]:
        """By the paths of the steps: what an item of a `foreach` leaves is named after the item."""
        is_whole = row.type.startswith("workflow:")
        return executions if is_whole or not executions else Counter({"stepper": executions.total()})


def check_timer(where: str, journal: Sequence[Recorded]) -> None:
    """It fired once, and not before its time."""
    [waited] = [each.at for each in journal if isinstance(each.event, WaitStarted)]
    [fired] = [each.at for each in journal if isinstance(each.event, TimerFired)]
    assert fired - waited >= timedelta(seconds=REST), f"{where}: {fired - waited}"


def check_tries(where: str, journal: Sequence[Recorded]) -> bool:
    """Whether the first try failed: its end may be unknown, and then another attempt at the same try succeeded."""
    failed = _all(journal, StepFailed)
    assert [(str(event.path), event.failure.code) for event in failed] in ([], [("again", FailureCode.UNAVAILABLE)])
    assert len(_all(journal, RetryScheduled)) == len(_all(journal, TimerFired)) == len(failed), where
    tries = 1
    for event in (each.event for each in journal):
        if isinstance(event, StepFailed):
            tries += 1
        elif isinstance(event, StepStarted) and str(event.path) == "again":
            assert event.try_number == tries, f"{where}: {event}"
    return bool(failed)


async def check_all_ended(observer: Store, accepted: Mapping[str, UUID], kinds: Kinds, marks: Path) -> Ends:
    """Every accepted task is there once, and ended as its kind may."""
    rows = await observer.tasks(TaskFilter(limit=1_000_000))
    assert set(accepted.values()) == {row.id for row in rows if row.parent is None}
    ends = Ends(kinds, {row.id: row for row in rows}, begun(marks))
    for at in range(0, len(rows), _AT_ONCE):
        some = rows[at : at + _AT_ONCE]
        journals = await observer.journals([row.id for row in some])
        for row in some:
            ends.check(row, journals[row.id])
    assert len(ends.members) == len(set(ends.members)), "a child is of two executions"
    return ends


def _all(journal: Sequence[Recorded], kind: type[E]) -> Sequence[E]:
    return [each.event for each in journal if isinstance(each.event, kind)]


def _is_poisoned(row: TaskRow) -> bool:
    return row.failure is not None and row.failure.code is FailureCode.POISONED
