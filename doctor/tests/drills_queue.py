"""How queue rows, the inbox, submissions and the audit are broken."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from sqlalchemy import delete, insert, select, update

from agentplat.store.tables import audit, definitions, inbox, limits, queue, submissions, tasks

from .claiming import claim_past_limits
from .hand import Hand, drill, id_of
from .healthy import NOBODY, TASKS


def of(task: str) -> Any:
    """The condition for a task's queue row."""
    return queue.c.task_id == id_of(task)


@drill("open_without_queue", "pending")
def nobody_can_claim_it(hand: Hand) -> None:
    hand.do(delete(queue).where(of("pending")))


@drill("queue_without_open_task", "done")
def a_row_of_a_task_that_has_ended(hand: Hand) -> None:
    hand.do(insert(queue).values(**_row_like(hand, "pending"), task_id=id_of("done"), fence=5))


@drill("queue_without_open_task")
def a_row_of_no_task(hand: Hand) -> list[str]:
    hand.do(insert(queue).values(**_row_like(hand, "pending"), task_id=NOBODY, fence=0))
    return [str(NOBODY)]


@drill("queue_shape", "running")
def owned_and_ready(hand: Hand) -> None:
    hand.unbind("queue")
    hand.do(update(queue).where(of("running")).values(ready=True, run_at=hand.now))


@drill("queue_shape", "listening")
def woken_and_not_ready(hand: Hand) -> None:
    hand.unbind("queue")
    hand.do(update(queue).where(of("listening")).values(wake=True))


@drill("task_shape", "done")
def done_without_a_time(hand: Hand) -> None:
    hand.unbind("tasks")
    hand.do(update(tasks).where(tasks.c.id == id_of("done")).values(finished_at=None))


@drill("under_way_differs", "running")
def a_step_is_not_marked(hand: Hand) -> None:
    hand.do(update(queue).where(of("running")).values(under_way=False))


@drill("under_way_differs", "running")
def a_mark_without_a_step(hand: Hand) -> None:
    hand.forge("running", 4, kind="timer_fired")


@drill("crash_without_suspicion", "pending")
def crashed_and_trusted(hand: Hand) -> None:
    hand.do(update(queue).where(of("pending")).values(crashes=1))


@drill("crash_without_suspicion", "pending")
def crashed_four_times(hand: Hand) -> None:
    hand.do(update(queue).where(of("pending")).values(crashes=4, suspect=True, ready=False))


@drill("poisoned_without_evidence", "error")
def given_up_after_two_owners(hand: Hand) -> None:
    failure = {"code": "poisoned", "message": "", "retryable": False, "retry_after": None, "details": {"crashes": 3}}
    hand.do(update(tasks).where(tasks.c.id == id_of("error")).values(failure=failure))
    hand.forge("error", 12, failure=failure)


@drill("timer_lost", "sleeping")
def asleep_without_a_timer(hand: Hand) -> None:
    hand.do(update(queue).where(of("sleeping")).values(run_at=None))


@drill("waits_for_nothing", "listening")
def parked_without_a_wait(hand: Hand) -> None:
    hand.forge("listening", 4, kind="timer_fired")


@drill("wake_lost", "listening")
def told_and_not_woken(hand: Hand) -> None:
    hand.do(insert(inbox).values(**_signal(hand, "listening")))


@drill("inbox_without_open_task", "done")
def told_after_its_end(hand: Hand) -> None:
    hand.do(insert(inbox).values(**_signal(hand, "done")))


@drill("told_twice", "told")
def a_signal_that_was_read_and_left(hand: Hand) -> None:
    hand.append("told", "signal_received", name="go", payload=None, key="signal:1")


@drill("told_twice", "told")
def a_cancel_that_was_read_and_left(hand: Hand) -> None:
    hand.append("told", "cancel_requested", reason="on request")


@drill("cancel_lost", "told")
def a_cancel_that_nobody_will_read(hand: Hand) -> None:
    hand.do(delete(inbox).where(inbox.c.task_id == id_of("told"), inbox.c.kind == "cancel"))


@drill("limit_exceeded")
def one_more_of_a_tenant_than_may_run(hand: Hand) -> list[str]:
    """Where more ran already when the limit was set."""
    claim_past_limits(hand.url)
    return ["north/"]


@drill("limit_exceeded")
def one_more_with_a_key_than_may_run(hand: Hand) -> list[str]:
    hand.do(update(limits).values(at_once=None))
    hand.do(insert(limits).values(tenant_id="north", key="printer", at_once=0, running=0))
    hand.do(update(queue).where(of("pending")).values(concurrency_key="printer"))
    claim_past_limits(hand.url)
    return ["north/printer"]


@drill("submission_without_task")
def a_key_of_no_task(hand: Hand) -> list[str]:
    hand.do(update(submissions).where(submissions.c.task_id == id_of("done")).values(task_id=NOBODY))
    return [str(NOBODY)]


@drill("definition_missing")
def no_definitions(hand: Hand) -> list[str]:
    hand.do(delete(definitions))
    return [str(task_id) for task_id in sorted(TASKS.values())[:5]]


@drill("definition_missing", "done")
def a_workflow_without_a_definition(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("done")).values(definition=None))


@drill("retry_of_open_task", "pending")
def a_retry_before_the_end(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("pending")).values(retry_of=id_of("running")))


@drill("submission_not_audited_once", "pending")
def a_submission_without_audit(hand: Hand) -> None:
    hand.do(delete(audit).where(audit.c.task_id == id_of("pending")))


@drill("submission_not_audited_once", "done")
def a_submission_audited_twice(hand: Hand) -> None:
    _audit(hand, "done", "task_submitted")


@drill("end_not_audited_once", "done")
def an_end_without_audit(hand: Hand) -> None:
    hand.do(delete(audit).where(audit.c.task_id == id_of("done"), audit.c.action == "task_done"))


@drill("end_not_audited_once", "done")
def an_end_audited_twice(hand: Hand) -> None:
    _audit(hand, "done", "task_done")


@drill("end_not_audited_once", "running")
def an_end_audited_before_it_was(hand: Hand) -> None:
    _audit(hand, "running", "task_cancelled")


@drill("end_audited_differently", "done")
def another_end_in_the_audit(hand: Hand) -> None:
    ends = (audit.c.task_id == id_of("done")) & (audit.c.action == "task_done")
    hand.do(update(audit).where(ends).values(action="task_error"))


def _row_like(hand: Hand, task: str) -> dict[str, object]:
    """A queue row like that of another task, without its id and fence."""
    row = hand.connection.execute(select(queue).where(of(task))).one()
    return {name: value for name, value in row._mapping.items() if name not in ("task_id", "fence")}


def _signal(hand: Hand, task: str) -> dict[str, object]:
    given = {"kind": "signal", "key": "signal:9", "name": "go", "payload": None}
    return {**given, "task_id": id_of(task), "number": 9, "id": uuid4(), "tenant_id": "north", "at": hand.now}


def _audit(hand: Hand, task: str, action: str) -> None:
    values = {"tenant_id": "north", "at": hand.now, "actor": "somebody", "task_id": id_of(task), "content": {}}
    hand.do(insert(audit).values(**values, action=action))
