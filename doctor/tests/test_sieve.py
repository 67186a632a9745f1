"""On SQLite a sieve leaves out the tasks of the plainest kind: those in which no question could find a fault."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agentplat_doctor import checks
from agentplat_doctor.checks import examine
from agentplat_doctor.questions import QUESTIONS, asked_on, codes, sieve
from agentplat_doctor.report import Finding
from agentplat_doctor.snapshot import snapshot
from sqlalchemy import Update, delete, insert, select, update
from sqlalchemy.engine import make_url

from agentplat.store.address import Address
from agentplat.store.tables import calls, journal, queue, tasks

from .hand import Dialect, Hand, at, hand, id_of
from .healthy import NOBODY, TASKS
from .test_drills import broken

SIEVED = [question for question in QUESTIONS if question.sieved]
PLAIN = "done"
EVENTS = range(1, 10)
KINDS: Sequence[str] = (
    *("task_submitted", "task_claimed", "task_finished", "block_started", "block_failed", "step_started"),
    *("step_succeeded", "step_failed", "retry_scheduled", "child_dispatched", "cancel_requested", "step_reused"),
    "moon_rose",
)
COLUMNS = (("fence", 0), ("fence", 2), ("seq", 0), ("seq", 20), ("task_id", NOBODY))
CONTENT: tuple[tuple[str, Any], ...] = (
    ("path", "another"),
    ("path", "check"),
    ("attempt", 2),
    ("try_number", 2),
    ("fence", 2),
    ("type", "workflow:another"),
    ("input", {"topic": "another"}),
    ("output", {"text": "another"}),
    ("usage", {"input_tokens": 1, "output_tokens": 2, "cost": None}),
    ("status", "error"),
    ("failure", {"code": "timeout"}),
)
ROW: tuple[tuple[str, Any], ...] = (
    ("type", "workflow:another"),
    ("status", "error"),
    ("status", "open"),
    ("input", {}),
    ("output", {}),
    ("failure", {}),
    ("input_tokens", 0),
    ("output_tokens", 0),
    ("cost", 0),
    ("cost", None),
    ("parent_id", id_of("parent")),
)
CALL: tuple[tuple[str, Any], ...] = (
    ("fence", 0),
    ("fence", 2),
    ("path", "check"),
    ("path", "nowhere"),
    ("task_id", NOBODY),
)
Fault = Callable[[Hand], None]


def of_an_event(seq: int) -> Iterator[Fault]:
    here = at(PLAIN, seq)
    yield lambda hand: hand.do(delete(journal).where(here))
    yield lambda hand: hand.do(update(journal).where(here).values(at=hand.ago(days=-1)))
    yield from (_changed(update(journal).where(here).values(kind=kind)) for kind in KINDS)
    yield from (_changed(update(journal).where(here).values({column: value})) for column, value in COLUMNS)
    yield from (_forged(seq, name, value) for name, value in CONTENT)


def of_what_belongs_to_it() -> Iterator[Fault]:
    mine = tasks.c.id == id_of(PLAIN)
    yield lambda hand: hand.do(delete(tasks).where(mine))
    yield lambda hand: hand.do(delete(journal).where(journal.c.task_id == id_of(PLAIN)))
    yield lambda hand: hand.append(PLAIN, "timer_fired", path="write")
    yield lambda hand: _forged_step(hand, path="write")
    yield lambda hand: _forged_step(hand, attempt=2, try_number=2)
    yield lambda hand: _third_step(hand, path="write", attempt=1, try_number=1)
    yield lambda hand: _third_step(hand, path="third", attempt=2, try_number=2)
    yield _queued_under_no_fence
    yield from (_changed(update(tasks).where(mine).values({column: value})) for column, value in ROW)
    here = calls.c.task_id == id_of(PLAIN)
    yield from (_changed(update(calls).where(here).values({column: value})) for column, value in CALL)


def _changed(change: Update) -> Fault:
    def strike(hand: Hand) -> None:
        hand.unbind("any table")
        hand.do(change)

    return strike


def _forged(seq: int, name: str, value: Any) -> Fault:
    return lambda hand: hand.forge(PLAIN, seq, **{name: value})


def _forged_step(hand: Hand, **content: Any) -> None:
    """Start and outcome of the second one alike."""
    hand.forge(PLAIN, 6, **content)
    hand.forge(PLAIN, 7, **content)


def _third_step(hand: Hand, **content: Any) -> None:
    """One more, before the end."""
    hand.append(PLAIN, "step_started", **content)
    hand.append(PLAIN, "step_succeeded", **content)
    for seq, moved in ((9, 12), (10, 9), (11, 10), (12, 11)):
        hand.do(update(journal).where(at(PLAIN, seq)).values(seq=moved))


def _queued_under_no_fence(hand: Hand) -> None:
    row = hand.connection.execute(select(queue).where(queue.c.task_id == id_of("pending"))).one()
    hand.do(insert(queue).values(**{**row._mapping, "task_id": id_of(PLAIN)}))


def wrong(url: str) -> Sequence[Finding]:
    """What those questions find that the sieve is for: the others find other things from one minute to the next."""
    asked = {code for question in SIEVED for code in codes(question)}
    return [finding for finding in examine(url).errors if finding.predicate.code in asked]


def wrong_without_the_sieve(url: str, monkeypatch: pytest.MonkeyPatch) -> Sequence[Finding]:
    with monkeypatch.context() as patch:
        patch.setattr(checks, "asked_on", lambda dialect: [replace(each, sieved=False) for each in asked_on(dialect)])
        return wrong(url)


def picked(url: str) -> dict[str, set[str]]:
    """The names of the tasks that each question is asked about."""
    names = {task_id.hex: name for name, task_id in TASKS.items()}
    statement = sieve()
    with snapshot(Address.parse(url)) as connections:
        _, [*_, unit] = checks._units(connections[0], "sqlite")
        assert unit.sieved
        values = {name: unit.values[name] for name in statement.parameters}
        row = connections[0].execute(statement.clause, values).mappings().one()
    assert row["complete"]
    return {each.name: {names[task_id] for task_id in json.loads(row[each.name])} for each in SIEVED}


def test_a_plain_task_is_not_looked_at(sqlite_url: str) -> None:
    found = picked(sqlite_url)
    for names in found.values():
        assert {PLAIN, "unpriced"}.isdisjoint(names)
    assert found["children"] == {"parent", "child", "young"}
    assert {"crashed", "error", "forked", "running"} <= found["journal"] & found["steps"]


def test_where_the_sieve_cannot_read_every_question_is_asked_about_all(healthy: Callable[[Dialect], str]) -> None:
    url = healthy("sqlite")
    with hand(url) as striking:
        striking.say("UPDATE journal SET content = 'nothing' WHERE kind = 'step_succeeded' AND seq = 5")
        striking.do(update(tasks).where(tasks.c.id == id_of("young")).values(tenant_id="south"))
    assert broken(examine(url)) == {
        "unreadable": ["journal: malformed JSON", "steps: malformed JSON"],
        "child_of_another_tenant": [str(id_of("young"))],
    }


@pytest.mark.parametrize("place", [*EVENTS, "around"])
def test_the_sieve_leaves_out_nothing_that_is_wrong(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, place: int | str
) -> None:
    file = Path(str(make_url(sqlite_url).database))
    whole = file.with_name("whole.db")
    shutil.copy(file, whole)
    found = 0
    for fault in of_an_event(place) if isinstance(place, int) else of_what_belongs_to_it():
        shutil.copy(whole, file)
        with hand(sqlite_url) as striking:
            fault(striking)
        expected = wrong_without_the_sieve(sqlite_url, monkeypatch)
        assert wrong(sqlite_url) == expected
        found += bool(expected)
    assert found > 5
