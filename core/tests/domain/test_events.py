import json
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentplat.domain.events import KINDS, Event, Recorded, StepSucceeded, TaskFinished, decode, encode
from agentplat.domain.ids import StepPath
from agentplat.domain.json import unstorable

from .profiles import tried
from .values import execution_ids, failures, json_objects, json_values, paths, texts, usages

TYPES: tuple[type[Any], ...] = get_args(Event)
counts = st.integers(1, 10**6)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "type": texts(),
    "input": json_values(),
    "fence": counts,
    "worker": texts(),
    "path": paths(),
    "output": json_values(),
    "failure": failures(),
    "execution_id": execution_ids(),
    "attempt": counts,
    "try_number": counts,
    "reason": texts(),
    "signal": st.none() | texts(),
    "queue": st.none() | texts(),
    "concurrency_key": st.none() | texts(),
    "delay": st.none() | st.floats(0, 1e9),
    "usage": usages(),
    "name": texts(),
    "payload": json_values(),
    "key": texts(),
    "source": texts(),
    "source_seq": counts,
    "revision": counts,
    "clause": counts,
    "until": st.none() | texts(),
    "approval": st.none() | json_objects(),
    "approved": st.booleans(),
    "by": st.none() | texts(),
    "answers": json_objects(),
    "steps": st.lists(json_objects(), max_size=2),
    "status": st.sampled_from(("done", "error", "cancelled")),
}
SPECIAL: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("TaskSubmitted", "input"): json_objects(),
    ("TaskFinished", "output"): st.none() | json_objects(),
    ("TaskFinished", "failure"): st.none() | failures(),
    ("StepReused", "failure"): st.none() | failures(),
    ("StepReused", "status"): st.sampled_from(("succeeded", "skipped", "failed", "cancelled")),
    ("RetryScheduled", "delay"): st.floats(0, 1e9),
}


def events_of(cls: type[Any]) -> st.SearchStrategy[Event]:
    arguments = {f.name: SPECIAL.get((cls.__name__, f.name), FIELDS[f.name]) for f in fields(cls)}
    return st.builds(cls, **arguments)


@pytest.mark.parametrize("cls", TYPES, ids=lambda cls: cls.__name__)
def test_every_event_survives_being_kept(cls: type[Any]) -> None:
    @given(events_of(cls))
    @tried(0.1)
    def survives(event: Event) -> None:
        kind, content = encode(event)

        assert unstorable(content) is None
        assert event == decode(kind, json.loads(json.dumps(content)))

    survives()


def test_the_words_under_which_events_are_kept_never_change() -> None:
    # Every journal that was ever written uses them. A new one may be added; none may go, nor mean something else.
    assert KINDS == (
        "task_submitted",
        "task_claimed",
        "block_started",
        "block_finished",
        "block_failed",
        "block_stopping",
        "block_cancelled",
        "block_caught",
        "block_ending",
        "block_expanded",
        "step_started",
        "child_dispatched",
        "step_skipped",
        "step_refused",
        "wait_started",
        "event_emitted",
        "step_succeeded",
        "step_failed",
        "step_cancel_requested",
        "step_cancelled",
        "retry_scheduled",
        "step_given_up",
        "timer_fired",
        "signal_received",
        "approval_answered",
        "cancel_requested",
        "deadline_passed",
        "history_reused",
        "step_reused",
        "step_reopened",
        "task_finished",
    )


def test_every_event_has_a_word_of_its_own() -> None:
    assert len(TYPES) == len(set(KINDS)) == len(KINDS)


def test_the_names_of_the_fields_never_change_either() -> None:
    kept = {kind: sorted(field.name for field in fields(cls)) for kind, cls in zip(KINDS, TYPES, strict=True)}

    assert kept == {
        "task_submitted": ["input", "type"],
        "task_claimed": ["fence", "worker"],
        "block_started": ["delay", "input", "path", "revision"],
        "block_finished": ["output", "path"],
        "block_failed": ["failure", "path"],
        "block_stopping": ["path"],
        "block_cancelled": ["path"],
        "block_caught": ["clause", "failure", "path"],
        "block_ending": ["delay", "failure", "output", "path", "status"],
        "block_expanded": ["path", "steps"],
        "step_started": ["attempt", "execution_id", "input", "path", "try_number"],
        "child_dispatched": [
            "attempt",
            "concurrency_key",
            "execution_id",
            "input",
            "path",
            "queue",
            "try_number",
        ],
        "step_skipped": ["execution_id", "path", "reason"],
        "step_refused": ["execution_id", "failure", "path"],
        "wait_started": ["approval", "delay", "execution_id", "path", "signal", "until"],
        "event_emitted": ["execution_id", "name", "path", "payload"],
        "step_succeeded": ["attempt", "output", "path", "usage"],
        "step_failed": ["attempt", "failure", "path", "usage"],
        "step_cancel_requested": ["path"],
        "step_cancelled": ["attempt", "path", "usage"],
        "retry_scheduled": ["delay", "path", "try_number"],
        "step_given_up": ["path"],
        "timer_fired": ["path"],
        "signal_received": ["key", "name", "payload"],
        "approval_answered": ["answers", "approved", "by", "key", "path"],
        "cancel_requested": ["reason"],
        "deadline_passed": [],
        "history_reused": ["source", "source_seq"],
        "step_reused": [
            "attempt",
            "execution_id",
            "failure",
            "input",
            "output",
            "path",
            "status",
            "try_number",
        ],
        "step_reopened": ["concurrency_key", "execution_id", "input", "path"],
        "task_finished": ["failure", "output", "status"],
    }


def test_an_older_event_without_a_newer_field_is_read() -> None:
    event = decode("step_succeeded", {"path": "a/b#2", "attempt": 1, "output": None})

    path = StepPath((("a", 1), ("b", 2)))
    assert StepSucceeded(path=path, attempt=1, output=None) == event


def test_a_field_that_this_version_does_not_know_is_passed_over() -> None:
    event = decode("task_finished", {"status": "done", "output": {}, "failure": None, "mood": "good"})

    assert TaskFinished(status="done", output={}, failure=None) == event


def test_an_event_that_this_version_does_not_know_is_an_error() -> None:
    with pytest.raises(KeyError, match="step_dreamt"):
        decode("step_dreamt", {})


def test_what_an_event_carries_is_not_taken_for_its_own_fields() -> None:
    event = StepSucceeded(path=StepPath(), attempt=1, output={"path": "a", "failure": {"code": "budget"}, "usage": {}})

    assert event == decode(*encode(event))


def test_a_recorded_event_has_its_place_and_time() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    event = TaskFinished(status="done", output=None, failure=None)

    assert Recorded(seq=1, at=at, event=event) == Recorded(seq=1, at=at, event=event)
