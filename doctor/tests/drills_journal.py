"""How journals, ends and steps are broken. The events of each task are in `healthy.py`."""

from __future__ import annotations

from sqlalchemy import delete, update

from agentplat.domain.usage import NO_USAGE
from agentplat.store.tables import calls, journal, queue, submissions, tasks

from .hand import Hand, at, drill, id_of
from .healthy import NOBODY

# done: 1 submitted, 2 claimed, 3 block, 4 write started, 5 succeeded, 6 check started, 7 succeeded, 8 block, 9 finished
# crashed: 4 write started, 5 claimed, 6 write started again, 7 succeeded, 8 block, 9 finished
# forked: 2 history, 3 block, 4 write reused, 5 claimed, 6 check started, 7 succeeded, 8 block, 9 finished
# error: 4 started, 5 failed, 6 retry, 7 claimed, 8 timer, 9 started, 10 failed, 11 block, 12 finished


@drill("journal_gap", "done")
def an_event_is_gone(hand: Hand) -> None:
    hand.do(delete(journal).where(at("done", 8)))


@drill("journal_gap", "pending", also=["journal_beginning"])
def numbers_begin_with_nought(hand: Hand) -> None:
    hand.unbind("journal")
    hand.append("pending", "timer_fired")
    hand.do(update(journal).where(at("pending", 1)).values(seq=0))


@drill("journal_beginning", "pending")
def another_first_event(hand: Hand) -> None:
    hand.forge("pending", 1, kind="timer_fired")


@drill("journal_beginning", "running")
def submitted_again(hand: Hand) -> None:
    hand.append("running", "task_submitted", type="workflow:report", input={})


@drill("journal_without_task", "done")
def the_row_is_gone(hand: Hand) -> None:
    hand.do(delete(submissions).where(submissions.c.task_id == id_of("done")))
    hand.do(delete(tasks).where(tasks.c.id == id_of("done")))


@drill("task_without_journal", "pending")
def the_journal_is_gone(hand: Hand) -> None:
    hand.do(delete(journal).where(journal.c.task_id == id_of("pending")))


@drill("submission_differs", "pending")
def another_input(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("pending")).values(input={"topic": "another"}))


@drill("submission_differs", "done")
def another_type(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("done")).values(type="workflow:another"))


@drill("unreadable", also=["attempt_gap"], dialects=["postgresql"])
def tokens_that_are_no_number(hand: Hand) -> list[str]:
    hand.forge("done", 5, usage={"input_tokens": "many", "output_tokens": 0, "cost": 0})
    # What another question finds is told all the same.
    hand.forge("crashed", 6, attempt=3)
    return ['journal: invalid input syntax for type bigint: "many"']


@drill("unreadable", dialects=["sqlite"])
def content_that_is_no_json(hand: Hand) -> list[str]:
    hand.say("UPDATE journal SET content = 'nothing' WHERE kind = 'step_succeeded'")
    return [f"{question}: malformed JSON" for question in ("children", "journal", "queue", "steps")]


@drill("end_not_in_journal", "done")
def no_last_event(hand: Hand) -> None:
    hand.do(delete(journal).where(at("done", 9)))


@drill("ended_but_open", "listening")
def an_end_that_the_row_does_not_know(hand: Hand) -> None:
    hand.append("listening", "task_finished", status="done", output={}, failure=None)


@drill("end_differs", "done")
def another_output(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("done")).values(output={"text": "another"}))


@drill("end_differs", "error")
def another_failure(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("error")).values(failure={"code": "timeout"}))


@drill("end_differs", "cancelled", also=["end_audited_differently"])
def another_status(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("cancelled")).values(status="error"))


@drill("event_after_end", "done")
def something_after_the_end(hand: Hand) -> None:
    hand.append("done", "timer_fired", path="write")


@drill("ended_twice", "done")
def a_second_end(hand: Hand) -> None:
    hand.append("done", "task_finished", status="error", output=None, failure=None)


@drill("totals_differ", "done")
def another_cost(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("done")).values(cost=31))


@drill("totals_differ", "done")
def other_tokens(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("done")).values(output_tokens=0))


@drill("totals_differ", "unpriced")
def an_unknown_cost_that_is_shown(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("unpriced")).values(cost=30))


@drill("totals_differ", "done")
def a_known_cost_that_is_not_shown(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("done")).values(cost=None))


@drill("fence_decreased", "crashed")
def the_first_owner_writes_after_the_second(hand: Hand) -> None:
    hand.do(update(journal).where(at("crashed", 8)).values(fence=1))


@drill("fence_behind_journal", "listening")
def the_queue_row_forgot_a_claim(hand: Hand) -> None:
    hand.do(update(queue).where(queue.c.task_id == id_of("listening")).values(fence=0))


@drill("claim_fence_differs", "done")
def a_claim_that_names_another_fence(hand: Hand) -> None:
    hand.forge("done", 2, fence=9)


@drill("claimed_twice", "listening")
def two_claims_of_one_fence(hand: Hand) -> None:
    hand.append("listening", "task_claimed", fence=1, worker="another")


@drill("write_without_claim", "done")
def a_fence_that_nobody_claimed(hand: Hand) -> None:
    hand.do(update(journal).where(at("done", 9)).values(fence=3))
    hand.do(update(journal).where(at("done", 8)).values(fence=2))


@drill("owner_unknown", "running")
def the_worker_is_gone(hand: Hand) -> None:
    hand.do(update(queue).where(queue.c.task_id == id_of("running")).values(worker_id=NOBODY))


@drill("call_of_another_owner", "done")
def a_call_under_a_later_fence(hand: Hand) -> None:
    hand.do(update(calls).where(calls.c.task_id == id_of("done")).values(fence=5))


@drill("call_without_step", "done")
def a_call_of_nobody(hand: Hand) -> None:
    hand.do(update(calls).where(calls.c.task_id == id_of("done")).values(path="nowhere"))


@drill("outcome_without_start", "done")
def the_start_is_gone(hand: Hand) -> None:
    hand.forge("done", 6, kind="timer_fired")


@drill("outcome_without_start", "done")
def the_outcome_of_another_attempt(hand: Hand) -> None:
    hand.forge("done", 7, attempt=2)


@drill("outcome_twice", "done")
def two_successes(hand: Hand) -> None:
    hand.forge("done", 8, kind="step_succeeded", path="check", attempt=1, usage=NO_USAGE.to_json())


@drill("outcome_twice", "done")
def cancelled_after_success(hand: Hand) -> None:
    hand.forge("done", 8, kind="step_cancelled", path="check", attempt=1, usage=NO_USAGE.to_json())


@drill("outcome_of_another_owner", "crashed")
def the_second_owner_answers_for_the_first(hand: Hand) -> None:
    hand.forge("crashed", 6, kind="timer_fired")
    hand.forge("crashed", 7, attempt=1)


@drill("start_after_success", "error")
def tried_again_after_success(hand: Hand) -> None:
    hand.forge("error", 5, kind="step_succeeded")


@drill("start_after_reuse", "forked")
def what_was_taken_over_is_run(hand: Hand) -> None:
    for seq in (6, 7):
        hand.forge("forked", seq, path="write")


@drill("reused_by_an_owner", "running")
def an_owner_takes_something_over(hand: Hand) -> None:
    hand.append("running", "step_reopened", path="check", execution_id=str(NOBODY), input=None)


@drill("attempt_gap", "crashed")
def an_attempt_is_left_out(hand: Hand) -> None:
    hand.forge("crashed", 6, attempt=3)


@drill("attempt_gap", "listening")
def a_wait_begins_twice(hand: Hand) -> None:
    hand.append("listening", "task_claimed", fence=2, worker="another")
    hand.do(update(journal).where(at("listening", 5)).values(fence=2))
    hand.append("listening", "wait_started", path="write", signal="go", delay=None)
    hand.do(update(queue).where(queue.c.task_id == id_of("listening")).values(fence=2))


@drill("try_not_scheduled", "done")
def a_second_try_at_once(hand: Hand) -> None:
    hand.forge("done", 6, try_number=2)


@drill("repeated_without_reason", "crashed")
def executed_twice_by_one_owner(hand: Hand) -> None:
    hand.forge("crashed", 5, kind="timer_fired")
    hand.do(update(journal).where(journal.c.task_id == id_of("crashed"), journal.c.seq > 1).values(fence=1))


@drill("step_left_open", "done")
def a_step_without_an_outcome(hand: Hand) -> None:
    hand.forge("done", 7, kind="timer_fired")


@drill("step_left_open", "error")
def a_retry_that_never_came(hand: Hand) -> None:
    hand.forge("error", 9, kind="timer_fired")
    hand.forge("error", 10, kind="timer_fired")
    hand.do(update(tasks).where(tasks.c.id == id_of("error")).values(input_tokens=100, output_tokens=20, cost=30))


@drill("start_after_stop", "running")
def a_start_after_a_cancel(hand: Hand) -> None:
    hand.forge("running", 3, kind="cancel_requested")


@drill("start_after_stop", "sleeping")
def a_wait_after_the_deadline(hand: Hand) -> None:
    hand.forge("sleeping", 3, kind="deadline_passed")


@drill("unknown_event", "done")
def a_kind_of_another_version(hand: Hand) -> None:
    hand.forge("done", 8, kind="moon_rose")


@drill("event_from_the_future", "done")
def an_event_of_tomorrow(hand: Hand) -> None:
    hand.do(update(journal).where(at("done", 8)).values(at=hand.ago(days=-1)))
