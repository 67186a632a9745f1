"""What the keeper sees of the steps that are under way."""

import random
import time
from uuid import UUID, uuid4

from agentplat.runtime.lifeline import LONGEST_DECISION, Lifeline

LATE = 1e9


def test_steps_that_end_behind_a_long_one_leave_nothing_behind() -> None:
    line, long = Lifeline(), uuid4()
    line.registered()
    body = line.begin(long, 900.0)
    for number in range(10_000):
        line.end(line.begin(uuid4(), 901.0 + number))

    assert len(line._order) < 200
    assert line.overdue(LATE) == long
    line.end(body)
    assert line.overdue(LATE) is None


def test_the_step_that_has_to_end_first_is_always_the_one_that_is_seen() -> None:
    chance, line = random.Random(17), Lifeline()
    line.registered()
    under_way: dict[int, tuple[float, UUID]] = {}
    for _ in range(5_000):
        if under_way and chance.random() < 0.5:
            body = chance.choice(list(under_way))
            del under_way[body]
            line.end(body)
        else:
            deadline, task_id = chance.uniform(1.0, 1000.0), uuid4()
            under_way[line.begin(task_id, deadline)] = deadline, task_id
        assert line.overdue(LATE) == (min(under_way.values())[1] if under_way else None)


def test_what_a_worker_decides_on_is_seen_until_it_is_over() -> None:
    line, task_id = Lifeline(), uuid4()
    seen = Lifeline(line.fd)
    line.registered()
    assert seen.decided_on is None
    line.decides(str(task_id))
    assert seen.decided_on == task_id
    assert seen.overdue(time.monotonic() + LONGEST_DECISION - 5.0) is None
    assert seen.overdue(time.monotonic() + LONGEST_DECISION + 5.0) == task_id
    line.decides("")
    assert [seen.decided_on, seen.overdue(LATE)] == [None, None]
    assert seen.is_registered
