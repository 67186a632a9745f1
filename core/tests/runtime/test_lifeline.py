"""What the keeper sees of the steps that are under way."""

import random
from uuid import UUID, uuid4

from agentplat.runtime.lifeline import Lifeline

LATE = 1e9


def test_steps_that_end_behind_a_long_one_leave_nothing_behind() -> None:
    line, long = Lifeline(), uuid4()
    line.registered()
    line.begin(long, "long", 900.0)
    for number in range(10_000):
        task_id = uuid4()
        line.begin(task_id, "step", 901.0 + number)
        line.end(task_id, "step")

    assert len(line._order) < 200
    assert line.overdue(LATE) == long
    line.end(long, "long")
    assert line.overdue(LATE) is None


def test_the_step_that_has_to_end_first_is_always_the_one_that_is_seen() -> None:
    chance, line = random.Random(17), Lifeline()
    line.registered()
    under_way: dict[tuple[UUID, str], float] = {}
    for number in range(5_000):
        if under_way and chance.random() < 0.5:
            key = chance.choice(list(under_way))
            del under_way[key]
            line.end(*key)
        else:
            key = uuid4(), str(number)
            under_way[key] = chance.uniform(1.0, 1000.0)
            line.begin(*key, under_way[key])
        first = min(under_way, key=under_way.__getitem__, default=None)
        assert line.overdue(LATE) == (first and first[0])
