"""Whether what a crowd saw explains what there is in the end: nothing twice, nothing lost, nothing from nowhere."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Committed, End, Lost, Store, TaskRow, Write
from agentplat.domain.events import CancelRequested, SignalReceived, TaskFinished, TaskSubmitted
from agentplat.domain.ids import TaskId
from agentplat.domain.usage import NO_USAGE

from .comparing import promise
from .crowd import Seen
from .looking import Sight


class Explained:
    """What was kept, by task."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.kept: dict[TaskId, list[tuple[Write, Committed]]] = defaultdict(list)
        known: set[int] = set()
        for write, result in seen.writes:
            if isinstance(result, Committed) and id(write) not in known:
                known.add(id(write))
                self.kept[write.lease.task_id].append((write, result))
        for writes in self.kept.values():
            writes.sort(key=lambda pair: fence_of(pair[0]))  # within one fence they stay in the order of their answers

    def fences(self, task_id: TaskId) -> Sequence[int]:
        """Those that claims gave, and those to which writes without an owner raised it."""
        claimed = [claim.lease.fence for claim in self.seen.claims if claim.lease.task_id == task_id]
        raised = [fence_of(write) for write, _ in self.kept[task_id] if write.lease.worker_id is None]
        return sorted(claimed + raised)


def fence_of(write: Write) -> int:
    """Under which it is kept."""
    return write.lease.fence + (write.lease.worker_id is None)


async def explain(seen: Seen, store: Store, sight: Sight) -> None:
    explained = Explained(seen)
    rows = await store.tasks(TaskFilter(limit=1000))
    _explain_submissions(seen, rows)
    promise(not sight.orphans, f"rows without a task: {sight.orphans}")
    promise(not sight.workers, f"workers that are left: {sight.workers}")
    promise(seen.woken == 0, f"{seen.woken} wake-ups were lost, and repaired by sweeps")
    promise(len(set(seen.swept)) == len(seen.swept), f"a worker was swept twice: {seen.swept}")
    for row in rows:
        await _explain_journal(row, explained, store, sight)
        await _explain_calls(row, explained.kept[row.id], store)
        _explain_end(row, explained, sight)
    await _explain_sums(rows, store)


def _explain_submissions(seen: Seen, rows: Iterable[TaskRow]) -> None:
    created = Counter(result.task_id for _, result in seen.submitted if result.created)
    promise(set(created.values()) <= {1}, f"created twice: {created}")
    promise({row.id for row in rows} == set(created), "there are other tasks than those that were accepted")
    by_key: dict[str, set[UUID]] = defaultdict(set)
    for task, result in seen.submitted:
        promise(result.created == (result.task_id == task.id), f"{task.id} was answered by {result}")
        if task.idempotency_key is not None:
            by_key[task.idempotency_key].add(result.task_id)
    promise(all(len(ids) == 1 for ids in by_key.values()), f"one key, several tasks: {by_key}")


async def _explain_journal(row: TaskRow, explained: Explained, store: Store, sight: Sight) -> None:
    journal = await store.journal(row.id)
    seen = sight.tasks[row.id].journal
    promise([seq for seq, _ in seen] == list(range(1, len(seen) + 1)), f"gaps in the journal of {row.id}: {seen}")
    promise([fence for _, fence in seen] == sorted(fence for _, fence in seen), f"fences of {row.id} fall: {seen}")
    fences = explained.fences(row.id)
    promise(list(fences) == list(range(1, len(fences) + 1)), f"the fences of {row.id} were {fences}")
    promise({fence for _, fence in seen} <= {0, *fences}, f"{row.id} has events of nobody: {seen}, fences {fences}")
    promise(isinstance(journal[0].event, TaskSubmitted), f"{row.id} begins with {journal[0]}")
    wanted = {1: (journal[0].event, 0, journal[0].at)}
    for write, result in explained.kept[row.id]:
        for seq, event in enumerate(write.events, write.first_seq):
            promise(seq not in wanted, f"{row.id}: two kept writes have the event {seq}")
            wanted[seq] = (event, fence_of(write), result.at)
    found = {each.seq: (each.event, fence, each.at) for each, (_, fence) in zip(journal, seen, strict=True)}
    promise(found == wanted, f"the journal of {row.id} is {found}, the kept writes add up to {wanted}")
    _explain_told(row, explained, [each.event for each in journal])


def _explain_told(row: TaskRow, explained: Explained, events: Sequence[object]) -> None:
    """Of each key the first one in wins; whoever was answered True is heard, unless the task ended before."""
    winners = [item for item, accepted in explained.seen.told if accepted and item.task_id == row.id]
    keys = Counter(item.key for item in winners)
    promise(set(keys.values()) <= {1}, f"{row.id}: told twice under one key: {keys}")
    payloads = {item.key: item.payload for item in winners}
    heard = [(event.key, event.payload) for event in events if isinstance(event, SignalReceived)]
    heard += [("cancel", event.reason) for event in events if isinstance(event, CancelRequested)]
    promise(len(heard) == len(dict(heard)), f"{row.id} heard one key twice: {heard}")
    promise(all(payloads.get(key) == payload for key, payload in heard), f"{row.id} heard {heard}, told {payloads}")
    promise(row.cancel_requested == ("cancel" in payloads), f"{row.id}: cancel_requested is {row.cancel_requested}")


async def _explain_calls(row: TaskRow, kept: Sequence[tuple[Write, Committed]], store: Store) -> None:
    wanted = {(call.path, call.number): call for write, _ in kept for call in write.calls}
    found = {(call.path, call.number): call for call in await store.calls(row.id)}
    promise(found == wanted, f"the calls of {row.id} are {found}, the kept writes add up to {wanted}")
    usage = [write.usage for write, _ in kept if write.usage is not None]
    promise(row.usage == (usage[-1] if usage else NO_USAGE), f"the usage of {row.id} is {row.usage}, not {usage[-1:]}")


def _explain_end(row: TaskRow, explained: Explained, sight: Sight) -> None:
    ends = [write.closing for write, _ in explained.kept[row.id] if isinstance(write.closing, End)]
    promise(len(ends) == 1, f"{row.id} ended {len(ends)} times: {ends}")
    promise((row.status, row.output) == (ends[0].status, ends[0].output), f"{row.id} is {row.status}, not {ends[0]}")
    last, _ = explained.kept[row.id][-1]
    promise(isinstance(last.events[-1], TaskFinished), f"{row.id} ends with {last}")
    left = sight.tasks[row.id]
    promise(left.fence is None and not left.inbox, f"something is left of {row.id}: {left}")


async def _explain_sums(rows: Sequence[TaskRow], store: Store) -> None:
    audit = Counter((str(each.task_id), each.action) for each in await store.audit(10_000))
    wanted = Counter((str(row.id), action) for row in rows for action in ("task_submitted", f"task_{row.status}"))

    promise(audit == wanted, f"the audit has {audit - wanted} too many, {wanted - audit} too few")
    costs = await store.costs()
    found = (costs.tasks, costs.input_tokens, costs.cost)
    sums = (len(rows), sum(row.usage.input_tokens for row in rows), sum(row.usage.cost or 0 for row in rows))
    promise(found == sums, f"the costs are {found}, the tasks add up to {sums}")


def stale(seen: Seen) -> int:
    """How many writes were refused."""
    return sum(isinstance(result, Lost) for _, result in seen.writes)
