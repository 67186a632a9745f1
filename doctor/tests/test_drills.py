"""Every predicate is broken on purpose, and fires; nothing else does, and in the healthy database nothing at all."""

from collections.abc import Callable

import pytest
from agentplat_doctor.checks import examine
from agentplat_doctor.predicates import PREDICATES, UNREADABLE
from agentplat_doctor.questions import QUESTIONS, codes
from agentplat_doctor.report import Report

from . import drills_children, drills_journal, drills_operation, drills_queue, drills_schedules
from .hand import DRILLS, Dialect, Drill, hand
from .healthy import TASKS

SOURCES = (drills_journal, drills_queue, drills_children, drills_operation, drills_schedules)
VOLATILE = {"commits_may_be_lost"}
"""The server of the tests does not wait for the disk, and is told so."""
ELSEWHERE = {"commits_may_be_lost", "transaction_pins_rows"}
"""These need more than a statement: `test_operation.py` has them."""

PAIRS = [
    pytest.param(drill, dialect, id=f"{dialect}-{drill.name}")
    for drill in sorted(DRILLS, key=lambda drill: drill.name)
    for dialect in drill.dialects
]


def broken(report: Report) -> dict[str, list[str]]:
    """What does not hold, with the examples, without what is always so in tests."""
    found = [*report.errors, *report.warnings]
    return {f.predicate.code: list(f.examples) for f in found if f.predicate.code not in VOLATILE}


def test_in_a_healthy_database_everything_holds(healthy_url: str) -> None:
    report = examine(healthy_url)
    assert broken(report) == {}
    assert report.tasks == len(TASKS)


@pytest.mark.parametrize(("drill", "dialect"), PAIRS)
def test_what_is_broken_is_found_and_nothing_else(
    drill: Drill, dialect: Dialect, healthy: Callable[[Dialect], str]
) -> None:
    url = healthy(dialect)
    with hand(url) as striking:
        named = drill.strike(striking)
    expected = [str(TASKS[drill.task])] if drill.task is not None else named
    found = broken(examine(url))
    assert set(found) == {drill.code, *drill.also}
    assert not expected or found[drill.code] == expected


def test_every_predicate_has_its_drill() -> None:
    assert {drill.code for drill in DRILLS} | ELSEWHERE == set(PREDICATES)
    assert {source.__name__ for source in SOURCES} == {drill.strike.__module__ for drill in DRILLS}


def test_every_predicate_is_asked_by_a_statement_and_has_its_words() -> None:
    asked = {code for question in QUESTIONS for code in codes(question)}
    assert asked | {UNREADABLE} == set(PREDICATES)
    for predicate in PREDICATES.values():
        assert all(text.endswith((".", ")")) for text in (predicate.wrong, predicate.meaning, predicate.next))
