"""The predicates of which each looks after a promise: where one does not hold, a promise is broken."""

from __future__ import annotations

from agentplat_doctor.report import Predicate

_LOOK = "Look at the journal with `agentplat tasks show <id> --journal`"
_REPORT = "Keep a backup, and report it as a bug, with the journal."
_HANDS = "Find out who wrote to the tables by hand, or which backup was restored while processes were running."
_RETRY = "`agentplat tasks retry <id>` makes a new task with the same input."


def _error(code: str, wrong: str, meaning: str, next: str) -> Predicate:
    return Predicate(code=code, level="error", wrong=wrong, meaning=meaning, next=next)


_JOURNAL = (
    _error(
        "journal_gap",
        "The numbers of a journal do not begin with 1, or have gaps.",
        "A part of the task's history is gone. What it decided before cannot be known for certain.",
        f"{_HANDS} Restore the events from a backup, or cancel the task and retry it.",
    ),
    _error(
        "journal_beginning",
        "A journal has no task_submitted as its first event, or a second one.",
        "The state of the task cannot be computed from its beginning.",
        f"{_HANDS} Restore the event from a backup.",
    ),
    _error(
        "journal_without_task",
        "There is a journal, but no such task.",
        "An accepted task is gone, though it had been promised to be durable.",
        f"{_HANDS} Restore the row from a backup: the first event has the type and the input.",
    ),
    _error(
        "task_without_journal",
        "There is an open task, but no journal of it.",
        "Nobody can work on it, and nobody can say what was done.",
        f"{_HANDS} Restore the events from a backup. {_RETRY}",
    ),
    _error(
        "submission_differs",
        "Type or input of a task are not those of its first event.",
        "The API shows another submission than the one that is worked on.",
        f"The journal is right. {_HANDS}",
    ),
    _error(
        "unreadable",
        "A question could not be answered: the database cannot read what it keeps.",
        "A value is not what its place demands, or a file of the database is damaged. Other faults may hide behind it.",
        "The text names the question, and what the database said. If a file is damaged: check the disk, use a backup.",
    ),
)

_END = (
    _error(
        "end_not_in_journal",
        "A task is done, error or cancelled, but its journal has no task_finished.",
        "The row says something that never happened.",
        f"{_HANDS} {_LOOK}.",
    ),
    _error(
        "ended_but_open",
        "A journal has task_finished, but the task is still open.",
        "Clients wait for an end that has been.",
        f"The journal is right. {_REPORT}",
    ),
    _error(
        "end_differs",
        "Status, output or failure of a task are not those of its task_finished.",
        "Clients read another result than the one that was reached.",
        f"The journal is right: it has the result. {_HANDS}",
    ),
    _error(
        "event_after_end",
        "Something was written into a journal after task_finished.",
        "A final state did not stay final.",
        f"{_LOOK}: the fence of the late event says which owner wrote it. {_REPORT}",
    ),
    _error(
        "ended_twice",
        "A journal has more than one task_finished.",
        "The task ended twice, and two readers may have seen two ends.",
        f"{_LOOK}: the first end counts. {_REPORT}",
    ),
    _error(
        "totals_differ",
        "Tokens or cost of a task are not the sums over its steps.",
        "What was spent is shown wrongly.",
        f"The journal is right. {_REPORT}",
    ),
)

_OWNER = (
    _error(
        "fence_decreased",
        "A journal goes back to an older fence.",
        "An owner that had lost the task wrote into it: two workers acted on one task.",
        f"{_LOOK} and see what was done twice. {_REPORT}",
    ),
    _error(
        "fence_behind_journal",
        "A queue row has an older fence than its journal.",
        "The next claim would get a fence that was given before. A failover that loses commits looks like this.",
        "Cancel the task and retry it. Do not fail over to a replica that lags.",
    ),
    _error(
        "claim_fence_differs",
        "A task_claimed was written under another fence than the one that it names.",
        "Which owner wrote what cannot be told.",
        _REPORT,
    ),
    _error(
        "claimed_twice",
        "Two owners claimed a task under the same fence.",
        "Nothing kept them apart: two workers may have worked on it at one time.",
        f"{_LOOK} and see what was done twice. {_REPORT}",
    ),
    _error(
        "write_without_claim",
        "Events were written under a fence that nobody had claimed.",
        "Somebody who was not the owner went on with the task.",
        _REPORT,
    ),
    _error(
        "call_of_another_owner",
        "A call was recorded under a fence under which nobody had its step.",
        "Somebody who was not the owner wrote into the ledger, or commits were lost in a failover.",
        f"{_REPORT} Do not fail over to a replica that lags.",
    ),
    _error(
        "owner_unknown",
        "A task belongs to a worker that has no row.",
        "No sweeper will ever return it: it stays as it is for ever.",
        f"No cancel reaches such an owner. Set an end by hand (`PATCH /tasks/{{id}}`). {_RETRY}",
    ),
)

_STEPS = (
    _error(
        "outcome_without_start",
        "A step has an outcome of an attempt that was not under way.",
        "It was executed without its start being durable, or an old owner's word was taken.",
        f"{_LOOK}. {_REPORT}",
    ),
    _error(
        "outcome_twice",
        "One attempt of a step has two outcomes.",
        "What was committed once was committed again, perhaps with another result.",
        f"{_LOOK}: the first outcome counts. {_REPORT}",
    ),
    _error(
        "outcome_of_another_owner",
        "An outcome was written by another owner than the one that started the attempt.",
        "Two owners acted on one step.",
        _REPORT,
    ),
    _error(
        "start_after_success",
        "A step was started again after it had succeeded or been skipped.",
        "Work was repeated that nothing should repeat, and perhaps paid for twice.",
        f"{_LOOK} and see what it did twice. {_REPORT}",
    ),
    _error(
        "reused_by_an_owner",
        "An owner of a task wrote that it takes something over from another task.",
        "A retry or a fork takes over what it needs when it is made. What came later was not looked at by anybody.",
        f"{_LOOK}. {_REPORT}",
    ),
    _error(
        "start_after_reuse",
        "A retry or a fork ran a step whose outcome it had taken over.",
        "Work was repeated that nothing should repeat, and perhaps paid for twice.",
        f"{_LOOK} and see what it did twice. {_REPORT}",
    ),
    _error(
        "attempt_gap",
        "The attempts of a step do not count 1, 2, 3.",
        "An execution is missing in the journal, or was counted twice.",
        _REPORT,
    ),
    _error(
        "try_not_scheduled",
        "A try of a step was never scheduled.",
        "The retry policy was not asked, or asked twice.",
        _REPORT,
    ),
    _error(
        "repeated_without_reason",
        "A step was executed again, though its owner was not lost and no retry was scheduled.",
        "More executions than lost leases and declared retries allow.",
        f"{_LOOK} and see what it did twice. {_REPORT}",
    ),
    _error(
        "step_left_open",
        "A workflow came to its end while a step was under way or waited for its next try.",
        "Its outcome, and its cost, may be missing.",
        _REPORT,
    ),
    _error(
        "start_after_stop",
        "Something was started after the task had been cancelled, or after its deadline.",
        "Cancel did not mean cancel.",
        _REPORT,
    ),
    _error(
        "call_without_step",
        "The ledger has a call of a step that was never started.",
        "It was made before its step was durable, or the task's journal is gone.",
        f"{_HANDS} {_REPORT}",
    ),
)

_QUEUE = (
    _error(
        "open_without_queue",
        "A task is open, but has no queue row.",
        "Nobody will ever work on it: it is lost.",
        f"{_HANDS} Restore the row from a backup. A copy of the task can be submitted again.",
    ),
    _error(
        "queue_without_open_task",
        "A queue row is of a task that has ended, or is unknown.",
        "Workers claim it again and again, and fail.",
        f"{_HANDS} If the task has ended, its queue row can be deleted once all processes are stopped.",
    ),
    _error(
        "queue_shape",
        "A queue row is of a shape that the table's constraints forbid.",
        "A constraint is missing, and the states of the task contradict each other.",
        f"`agentplat db check` names what is missing. {_HANDS}",
    ),
    _error(
        "task_shape",
        "A task's row is of a shape that the table's constraints forbid.",
        "A constraint is missing, and what the row says contradicts itself.",
        f"`agentplat db check` names what is missing. {_HANDS}",
    ),
    _error(
        "under_way_differs",
        "The mark that a step is under way is not what the journal says.",
        "A worker's death would be blamed on the wrong task, or on none.",
        _REPORT,
    ),
    _error(
        "crash_without_suspicion",
        "A task has crashes, but is not suspect, or has more than three.",
        "Crashes were counted that the task did not cause alone, or it was run after its third one.",
        _REPORT,
    ),
    _error(
        "poisoned_without_evidence",
        "A task was given up as poisoned, though fewer than three owners died with it.",
        "A healthy task may have been ended for its neighbours' crashes.",
        f"{_RETRY} {_REPORT}",
    ),
    _error(
        "timer_lost",
        "A parked task waits for a time, but has no timer.",
        "It would wait for ever.",
        f"Cancel it, and retry it. {_REPORT}",
    ),
    _error(
        "waits_for_nothing",
        "A task is parked, but its journal names nothing that it waits for.",
        "It would wait for ever.",
        f"Cancel it, and retry it. {_REPORT}",
    ),
    _error(
        "wake_lost",
        "A parked task was told something, and nobody was woken.",
        "A signal or a cancel is not heard until a sweeper finds it.",
        f"See that a worker or an API process runs: each of them sweeps. {_REPORT}",
    ),
    _error(
        "inbox_without_open_task",
        "Something was told to a task that has ended, or is unknown.",
        "Nobody will ever read it.",
        _HANDS,
    ),
    _error(
        "told_twice",
        "What a task has in its inbox is in its journal already.",
        "It would be told once more, for example approve something twice.",
        _REPORT,
    ),
    _error(
        "cancel_lost",
        "A cancel was asked for, and is neither in the inbox nor in the journal.",
        "The task shows `cancel_requested`, and goes on.",
        f"Cancel it once more. {_REPORT}",
    ),
)

_AROUND = (  # the task: its children, the limits that it waits for, the schedules that submit tasks
    _error(
        "dispatch_without_child",
        "A task waits for a child that is not there.",
        "It would wait for ever.",
        f"{_HANDS} Cancel it, and retry it.",
    ),
    _error(
        "child_without_dispatch",
        "A task is the child of one whose journal has not dispatched it.",
        "It is worked on though nobody waits for it, perhaps twice.",
        f"Cancel it. {_REPORT}",
    ),
    _error(
        "child_end_lost",
        "A task waits for a child that has ended, and was not told.",
        "It would wait for ever.",
        f"Cancel it, and retry it: the child's output is in the child. {_REPORT}",
    ),
    _error(
        "child_of_another_tenant",
        "A child is of another tenant than its parent.",
        "What one tenant submitted was worked on as another one's.",
        _REPORT,
    ),
    _error(
        "child_too_deep",
        "A child does not stand one below its parent, or stands deeper than ten.",
        "A recursion may not end.",
        f"Cancel the task that is above all others. {_REPORT}",
    ),
    _error(
        "limit_exceeded",
        "More tasks run at one time than a limit says, and than ran when it was set.",
        "What it protects gets more than was promised. A claim that was under way while it was set may do so once.",
        f"`agentplat limits list` shows by how much. If it does not end with the tasks that run now: {_REPORT}",
    ),
    _error(
        "schedule_goes_back",
        "The next time of a schedule is not behind the last one that was dealt with.",
        "Times would be dealt with again. They make no second task while their idempotency keys are kept.",
        f"`agentplat schedules pause` and then `resume` let it go on from now. {_HANDS}",
    ),
    _error(
        "schedule_shape",
        "A schedule is of a shape that the table's constraints forbid.",
        "A constraint is missing, and what is made up for after a stop is not certain.",
        f"`agentplat db check` names what is missing. Put the schedule anew. {_HANDS}",
    ),
)

_SUBMISSION = (
    _error(
        "submission_without_task",
        "An idempotency key stands for a task that is not there.",
        "A client that repeats its request is told of a task that nobody can find.",
        _HANDS,
    ),
    _error(
        "definition_missing",
        "A task names a workflow definition that is not there.",
        "The workflow that it was submitted with is gone: no worker can go on with it.",
        f"{_HANDS} Restore the definition from a backup.",
    ),
    _error(
        "retry_of_open_task",
        "A task is the retry of one that is still open.",
        "The same work is done twice at one time, or a final state was undone.",
        _REPORT,
    ),
    _error(
        "submission_not_audited_once",
        "A submission has no audit row, or several.",
        "The audit does not say who submitted the task.",
        f"{_HANDS} {_REPORT}",
    ),
    _error(
        "end_not_audited_once",
        "The end of a task has no audit row, or several, or it was audited though the task is open.",
        "The audit does not say who ended the task.",
        f"{_HANDS} {_REPORT}",
    ),
    _error(
        "end_audited_differently",
        "The audit has another end of a task than its row.",
        "One of the two was changed afterwards.",
        f"The journal says which is right. {_HANDS}",
    ),
)

_FILE = (
    _error(
        "file_damaged",
        "SQLite finds its own file damaged.",
        "A disk, a copy of a file in use, or another program has spoilt it.",
        "Stop all processes, keep the file, check the disk, and restore a backup.",
    ),
)

ERRORS = (*_SUBMISSION, *_JOURNAL, *_END, *_OWNER, *_STEPS, *_QUEUE, *_AROUND, *_FILE)
