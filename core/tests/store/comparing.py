"""What everybody sees of the store beside what the model says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Store

from .looking import SeenTask, Sight
from .promises import Book, TaskEntry

_FAR = 1_800_000_000  # half an hour in microseconds: what is due later is due in an hour


class PromiseBroken(AssertionError):
    """The store and the model differ."""


def promise(holds: bool, what: str) -> None:
    if not holds:
        raise PromiseBroken(what)


def compare(book: Book, sight: Sight, clocks: Sequence[int]) -> None:
    """`clocks`: the database's clock at the end of each moment, the present one included."""
    found = list(_differences(book, sight, clocks))
    promise(not found, "\n".join(found))


def _differences(book: Book, sight: Sight, clocks: Sequence[int]) -> Iterator[str]:
    if sight.workers != book.workers:
        yield f"workers: the database has {sight.workers}, the model {book.workers}"
    if sight.orphans:
        yield f"rows without a task: {sight.orphans}"
    if sight.tasks.keys() != book.tasks.keys():
        yield f"tasks: the database has {sorted(sight.tasks)}, the model {sorted(book.tasks)}"
        return
    for task_id, entry in book.tasks.items():
        seen = sight.tasks[task_id]
        for name, found, wanted in (*_columns(entry, seen), *_times(entry, seen, sight.now, clocks)):
            if found != wanted:
                yield f"task {task_id}: {name} is {found!r} in the database, {wanted!r} in the model"


def _columns(entry: TaskEntry, seen: SeenTask) -> Iterator[tuple[str, Any, Any]]:
    yield "status", seen.status, "open" if entry.end is None else entry.end.status.value
    yield "cancel_requested", seen.cancel_requested, entry.cancel_requested
    yield "journal", list(seen.journal), [(seq, each.fence) for seq, each in enumerate(entry.journal, 1)]
    yield "inbox", list(seen.inbox), [item.key for item in entry.inbox]
    for name in ("worker", "fence", "ready", "wake", "under_way", "suspect", "crashes", "reason"):
        yield name, getattr(seen, name), None if entry.end else getattr(entry, name)


def _times(entry: TaskEntry, seen: SeenTask, now: int, clocks: Sequence[int]) -> Iterator[tuple[str, Any, Any]]:
    yield "updated_at is recent", seen.updated_at >= clocks[entry.changed - 1], True
    if entry.end is not None or entry.worker is not None or entry.is_poisoned:
        return
    match entry.due:
        case "never":
            yield "run_at", seen.run_at, None
        case "later":
            yield "run_at is far", seen.run_at is not None and seen.run_at > now + _FAR, True
        case "now":
            began, ended = clocks[entry.since - 1], clocks[entry.since]
            yield "run_at is of its moment", seen.run_at is not None and began <= seen.run_at <= ended, True


async def compare_all(book: Book, store: Store) -> None:
    """Everything that the store itself shows, contents included."""
    ids = list(book.tasks)
    rows = {row.id: row for row in await store.tasks(TaskFilter(limit=1000))}
    promise(set(rows) == set(ids), f"the store shows the tasks {sorted(rows)}, the model has {sorted(ids)}")
    journals = await store.journals(ids)
    calls = {task_id: await store.calls(task_id) for task_id in ids if book.tasks[task_id].calls}
    for task_id, entry in book.tasks.items():
        row = rows[task_id]
        wanted = {
            "status": entry.status,
            "output": entry.output,
            "failure": entry.failure,
            "usage": entry.usage,
            "cancel_requested": entry.cancel_requested,
            "last_seq": len(entry.journal),
            "fence": None if entry.end else entry.fence,
            "worker_id": None if entry.end else entry.worker,
            "reason": None if entry.end else entry.reason,
        }
        found = {name: getattr(row, name) for name in wanted}
        promise(found == wanted, f"task {task_id}: the store shows {found}, the model {wanted}")
        _compare_journal(task_id, entry, journals[task_id])
        kept = [entry.calls[key] for key in sorted(entry.calls)]
        promise(list(calls.get(task_id, ())) == kept, f"task {task_id}: calls {calls.get(task_id)}, wanted {kept}")
    await _compare_audit(book, store)


def _compare_journal(task_id: UUID, entry: TaskEntry, recorded: Sequence[Any]) -> None:
    events = [each.event for each in recorded]
    wanted = [each.event for each in entry.journal]
    promise(events == wanted, f"task {task_id}: the journal is {events}, in the model {wanted}")
    for row, each in zip(recorded, entry.journal, strict=True):
        promise(each.at in (None, row.at), f"task {task_id}: event {row.seq} was told to be of {each.at}, not {row.at}")


async def _compare_audit(book: Book, store: Store) -> None:
    found = Counter((row.task_id, row.action) for row in await store.audit(1000))
    wanted = Counter((task_id, "task_submitted") for task_id in book.tasks)
    wanted += Counter((i, f"task_{entry.end.status.value}") for i, entry in book.tasks.items() if entry.end)
    promise(found == wanted, f"the audit has {found}, wanted {wanted}")
