import re
from itertools import product

import pytest

from agentplat.domain.errors import IllegalTransition
from agentplat.domain.task import TRANSITIONS, TaskState, TaskTrigger, transition

# The whole machine, once more and in words, so that no entry changes by accident.
MACHINE = """
    pending: claimed -> running, cancelled -> cancelled, poisoned -> error
    running: succeeded -> done, failed -> error, cancelled -> cancelled, parked -> waiting
    running: released -> pending, lost -> pending, poisoned -> error
    waiting: woken -> pending, cancelled -> cancelled, expired -> error
"""
LEGAL = {
    (TaskState(line.split(":")[0].strip()), TaskTrigger(trigger)): TaskState(after)
    for line in MACHINE.strip().splitlines()
    for trigger, after in re.findall(r"(\w+) -> (\w+)", line)
}


def test_the_table_is_the_machine() -> None:
    assert dict(TRANSITIONS) == LEGAL


@pytest.mark.parametrize(("state", "trigger"), [*product(TaskState, TaskTrigger)])
def test_every_pair_of_state_and_trigger_is_in_the_table_or_illegal(state: TaskState, trigger: TaskTrigger) -> None:
    if (state, trigger) in LEGAL:
        assert LEGAL[state, trigger] == transition(state, trigger)
        return

    with pytest.raises(IllegalTransition, match=f"task that is {state} cannot be {trigger}") as caught:
        transition(state, trigger)
    assert (state.value, trigger.value) == (caught.value.state, caught.value.event)


def test_a_terminal_state_has_no_way_out() -> None:
    assert {TaskState.DONE, TaskState.ERROR, TaskState.CANCELLED} == {s for s in TaskState if s.is_terminal}
    assert not [pair for pair in TRANSITIONS if pair[0].is_terminal]


def test_from_every_other_state_each_terminal_state_that_a_client_may_see_can_be_reached() -> None:
    reached = {state: {state} for state in TaskState}
    for _ in TaskState:
        for (before, _trigger), after in TRANSITIONS.items():
            reached[before] |= reached[after]

    for state in TaskState:
        if not state.is_terminal:
            assert {TaskState.DONE, TaskState.ERROR, TaskState.CANCELLED} <= reached[state]


def test_every_trigger_means_something_somewhere() -> None:
    assert set(TaskTrigger) == {trigger for _state, trigger in TRANSITIONS}


def test_only_a_claim_makes_a_task_run() -> None:
    assert {TaskTrigger.CLAIMED} == {trigger for (_, trigger), after in TRANSITIONS.items() if after == "running"}
