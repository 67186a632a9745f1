"""The group commit: what many owners have to say at one moment, in one transaction.

First the queue rows of the whole batch are locked, by task id. Then it is judged which writes still have their lease
and fit the end of their journal; every later statement is about those only, so that a lost lease costs only its task.
Nearly always all of them do, so one statement asks that of the whole batch first. On a far database, where a round is a
way there and back, everything else follows in the same round, which breaks itself off if one does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agentplat.contracts.store import Committed, End, Keep, Lost, Park, Release, Write, WriteResult
from agentplat.domain.events import StepSucceeded, TaskClaimed
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonValue, dumps
from agentplat.store.script import Bound, Guarded, Round, Script, bound, for_each
from agentplat.store.transactions import submission
from agentplat.store.transactions.rows import AnyRow


@dataclass(slots=True, kw_only=True)
class _Accepted:
    """A write whose lease holds. `fence` is what it writes under, raised if it takes an unowned row for itself."""

    write: Write
    tenant: str
    fence: int

    @property
    def task_id(self) -> TaskId:
        return self.write.lease.task_id


@dataclass(slots=True, kw_only=True)
class _Judged(_Accepted):
    """`row` is its locked queue row, `at` the time of the transaction."""

    row: AnyRow
    at: datetime


def commit(writes: Sequence[Write], again: bool, *, far: bool) -> Script[Sequence[WriteResult]]:
    """One result per write, Committed or Lost. Values that the database refuses break it off, for all of them.

    `again`: an earlier attempt broke off, and may have been committed unnoticed.
    """
    if not again and all(_stays_or_ends(write) for write in writes):
        try:
            kept = yield from _commit_at_once(writes, far)
        except Guarded:
            kept = None
        if kept is not None:
            return kept
    return (yield from _commit_judged(writes, again))


def _stays_or_ends(write: Write) -> bool:
    """Whether what is kept of it depends on nothing that its row says."""
    owned = write.tenant is not None and write.lease.worker_id is not None
    return owned and isinstance(write.closing, Keep | End)


def _commit_at_once(writes: Sequence[Write], far: bool) -> Script[Sequence[WriteResult] | None]:
    """The results if all leases hold; None, or Guarded, if one does not, or if it is not known what was kept."""
    rows = [_vouched_row(write) for write in writes]
    settled = for_each("settle_owned", "task_id under_way clears", [row for w in writes for row in _settled_row(w)])
    accepted = [_Accepted(write=write, tenant=write.tenant or "", fence=write.lease.fence) for write in writes]
    if far:
        vouched = for_each("vouch", "task_id worker_id fence first_seq", rows)
        [[judged], *_] = yield Round([*vouched, *settled, *_kept(accepted, None)], last=True, guarded=True)
    else:
        [[judged]] = yield Round([bound("vouch", writes=rows)])
        if judged.holding < len(writes):
            return None
        yield Round([*settled, *_kept(accepted, judged.now)], last=True)
    woken = frozenset(judged.woken or ())
    return [Committed(at=judged.now, wake=write.lease.task_id in woken) for write in writes]


def _vouched_row(write: Write) -> tuple[Any, ...]:
    lease = write.lease
    return lease.task_id, lease.worker_id, lease.fence, write.first_seq if write.events else 0


def _settled_row(write: Write) -> Iterable[tuple[Any, ...]]:
    """At most one row: nothing for a step between two others, which is most of them."""
    clears = _clears(write) if write.clears is None else write.clears
    if isinstance(write.closing, Keep) and (clears or write.under_way is not None):
        yield write.lease.task_id, write.under_way, clears


def _commit_judged(writes: Sequence[Write], again: bool) -> Script[Sequence[WriteResult]]:
    task_ids = sorted(write.lease.task_id for write in writes)
    rows, ends = yield Round([bound("lock_tasks", task_ids=task_ids), bound("journal_ends", task_ids=task_ids)])
    locked = {row.task_id: row for row in rows}
    last, at = {row.task_id: row.last or 0 for row in ends}, ends[0].now
    judged: list[_Judged | WriteResult] = []
    for write in writes:
        task_id = write.lease.task_id
        row = locked.get(task_id)
        fault = _fault(write, row, last[task_id])
        if fault is None and row is not None:
            fence = row.fence + (write.lease.worker_id is None)
            judged.append(_Judged(write=write, tenant=row.tenant_id, fence=fence, row=row, at=at))
        else:
            known = yield from _unacknowledged(write, row, again)
            judged.append(known or Lost(reason=fault or "no queue row"))
    accepted = [item for item in judged if isinstance(item, _Judged)]
    yield Round([*_rows_kept(accepted), *_kept(accepted, at), *_given_back(accepted)], last=True)
    return [Committed(at=at, wake=item.row.wake) if isinstance(item, _Judged) else item for item in judged]


def _fault(write: Write, row: AnyRow | None, last: int) -> str | None:
    """Why `write` is refused; None when its lease holds and its events continue the journal."""
    lease = write.lease
    if row is None:
        return "the task is terminal or unknown"
    if row.fence != lease.fence:
        return f"the task has the fence {row.fence}, not {lease.fence}"
    if row.worker_id != lease.worker_id:
        return f"the task belongs to {row.worker_id or 'nobody'}, not to {lease.worker_id or 'nobody'}"
    if write.events and write.first_seq != last + 1:
        return f"the journal ends at {last}, the write begins at {write.first_seq}"
    return None


def _unacknowledged(write: Write, row: AnyRow | None, again: bool) -> Script[Committed | None]:
    """The result of this very write if it was committed before, and only the acknowledgement was lost.

    A fence and a worker name one owner, so equal events are its own. Unowned writes of two administrators can be equal,
    so they count only when this transaction is a repetition.
    """
    unowned = write.lease.worker_id is None
    if not write.events or (unowned and not again):
        return None
    last = write.first_seq + len(write.events) - 1
    part = bound("journal_part", task_id=write.lease.task_id, first_seq=write.first_seq, last_seq=last)
    [found] = yield Round([part])
    fence = write.lease.fence + (1 if unowned else 0)
    kept = [(each.seq, each.fence, each.kind, each.content) for each in found]
    meant = [(seq, fence, kind, json.loads(text)) for seq, (kind, text) in enumerate(write.encoded, write.first_seq)]
    if kept != meant:
        return None
    return Committed(at=found[-1].at, wake=row is not None and row.wake)


def _rows_kept(judged: Sequence[_Judged]) -> Iterable[Bound]:
    """The statements that keep the queue rows of those that stay with their owners."""
    yield from for_each("keep_owned", _KEEP, [row for item in judged for row in _kept_row(item)])


def _given_back(judged: Sequence[_Judged]) -> Iterable[Bound]:
    """Those of the others that do not end, when what they have taken from their inboxes is gone from there."""
    back = [item for item in judged if isinstance(item.write.closing, Park | Release)]
    yield from for_each("give_back", _GIVE_BACK, [_given_back_row(item) for item in back])


def _kept(accepted: Sequence[_Accepted], at: datetime | None) -> Iterable[Bound]:
    """The statements that keep everything else; `at` None: at the time of the transaction."""
    ended = [item for item in accepted if isinstance(item.write.closing, End)]
    gone = [item.task_id for item in ended]
    events = [row for item in accepted for row in _event_rows(item)]
    acts = [_audit_row(item) for item in ended]
    if children := [child for item in accepted for child in item.write.children]:
        documents = {(each.hash, item.tenant): each for item in accepted for each in item.write.definitions}
        yield from submission.children_inserted(children, documents, at)
        events += submission.first_events(children)
        acts += submission.acts(children)
    yield from for_each("append_journal", _EVENT, events, at=at)
    yield from for_each(
        "record_calls", _CALL, [row for item in accepted if item.write.calls for row in _call_rows(item)], at=at
    )
    yield from for_each("spend", _SPEND, [_spent_row(item) for item in accepted if item.write.usage is not None], at=at)
    if seen := [item.task_id for item in accepted if item.write.usage is None and _is_seen(item.write)]:
        yield bound("touch_tasks", task_ids=seen, at=at)
    taken = [(item.task_id, taken) for item in accepted for taken in item.write.taken]
    yield from for_each("take_from_inbox", "task_id id", taken)
    if gone:
        yield from for_each("end_tasks", _END, [_ended_row(item) for item in ended], at=at)
        told = [_told_row(item) for item in ended if item.write.is_child is not False]
        yield from for_each("tell_parents", "task_id key payload", told, at=at)
    yield from for_each("audit_tasks", _AUDIT, acts, at=at)
    if gone:
        yield bound("empty_inboxes", task_ids=gone)
        yield bound("leave_queue", task_ids=gone)


# --- the queue row -----------------------------------------------------------------------------------------

_KEEP = "task_id fence under_way suspect crashes"
_GIVE_BACK = "task_id fence suspect crashes ready run_at reason"


def _kept_row(item: _Judged) -> Iterable[tuple[Any, ...]]:
    """At most one row of values: nothing for a row that stays as it is, which is most of them."""
    if not isinstance(item.write.closing, Keep):
        return
    row = item.row
    said = row.under_way if item.write.under_way is None else item.write.under_way
    under_way = said and item.write.lease.worker_id is not None
    suspect, crashes = _suspicion(item)
    if (item.fence, under_way, suspect, crashes) != (row.fence, row.under_way, row.suspect, row.crashes):
        yield item.task_id, item.fence, under_way, suspect, crashes


def _given_back_row(item: _Judged) -> tuple[Any, ...]:
    return item.task_id, item.fence, *_suspicion(item), *_rest(item)


def _rest(item: _Judged) -> tuple[bool, datetime | None, str | None]:
    """Whether it is claimable, from when on or by which timer, and why it was handed back.

    A wake-up hurries what waits. What is left to others it does not: whoever left it would have it again at once.
    """
    match item.write.closing:
        case Park() if item.row.wake:
            return True, item.at, None
        case Park(wake_after=None):
            return False, None, None
        case Park(wake_after=float() | int() as seconds):
            return False, item.at + timedelta(seconds=seconds), None
        case Release(delay=delay, reason=reason):
            return True, item.at + timedelta(seconds=delay), reason
        case closing:
            raise TypeError(f"{closing} gives nothing back")


def _suspicion(item: _Judged) -> tuple[bool, int]:
    return (False, 0) if _clears(item.write) else (item.row.suspect, item.row.crashes)


def _clears(write: Write) -> bool:
    """A step that succeeded clears the task of what its earlier steps are suspected of."""
    return StepSucceeded in map(type, write.events)


# --- everything else ---------------------------------------------------------------------------------------

_EVENT = "task_id seq tenant_id fence kind content"
_CALL = "task_id path try_number number tenant_id kind name status content model input_tokens output_tokens cost fence"
_SPEND = "task_id model input_tokens output_tokens cost"
_END = "task_id status output failure"
_AUDIT = "tenant_id actor action task_id content"


def _is_seen(write: Write) -> bool:
    """Whether watchers of the task should look again. An end touches the row anyway."""
    return TaskClaimed in map(type, write.events) or isinstance(write.closing, Park | Release)


def _spent_row(item: _Accepted) -> tuple[Any, ...]:
    usage = item.write.usage
    assert usage is not None
    return item.task_id, usage.model, usage.input_tokens, usage.output_tokens, usage.cost


def _ended_row(item: _Accepted) -> tuple[Any, ...]:
    closing = item.write.closing
    assert isinstance(closing, End)
    failure = None if closing.failure is None else closing.failure.to_json()
    return item.task_id, closing.status.value, _text(closing.output), _text(failure)


def _told_row(item: _Accepted) -> tuple[Any, ...]:
    task_id, status, output, failure = _ended_row(item)
    parts = {"status": f'"{status}"', "output": item.write.outcome or output, "failure": failure}
    content = ",".join([f'"{name}":{text}' for name, text in parts.items() if text is not None])
    return task_id, f"child:{task_id}", f"{{{content}}}"


def _text(value: JsonValue) -> str | None:
    return None if value is None else dumps(value)


def _event_rows(item: _Accepted) -> Iterable[tuple[Any, ...]]:
    task_id, tenant, fence = item.task_id, item.tenant, item.fence
    for seq, (kind, text) in enumerate(item.write.encoded, item.write.first_seq):
        yield task_id, seq, tenant, fence, kind, text


def _call_rows(item: _Accepted) -> Iterable[tuple[Any, ...]]:
    # Of several records of one call the last one counts; one statement may touch a row only once.
    latest = {(call.path, call.try_number, call.number): call for call in item.write.calls}
    for (path, try_number, number), call in latest.items():
        used = call.usage
        yield (
            *(item.task_id, path, try_number, number, item.tenant, call.kind, call.name, call.status),
            *(dumps(call.content), used.model, used.input_tokens, used.output_tokens, used.cost, item.fence),
        )


def _audit_row(item: _Accepted) -> tuple[Any, ...]:
    closing = item.write.closing
    assert isinstance(closing, End)
    content: JsonValue = {"fence": item.fence, "failure": closing.failure.code.value if closing.failure else None}
    return item.tenant, closing.actor, f"task_{closing.status.value}", item.task_id, dumps(content)
