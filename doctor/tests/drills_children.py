"""How children are torn from their parents."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import delete, insert, select, update

from agentplat.store.tables import inbox, journal, tasks

from .hand import Hand, at, drill, id_of
from .healthy import TASKS


def _dispatch(hand: Hand, task: str, **values: object) -> None:
    """Change what a child's row says of its dispatch."""
    mine = tasks.c.id == id_of(task)
    said = hand.connection.execute(select(tasks.c.dispatch).where(mine)).scalar_one()
    hand.do(update(tasks).where(mine).values(dispatch={**said, **values}))


@drill("dispatch_without_child", "parent", also=["journal_without_task", "queue_without_open_task"])
def a_child_is_gone(hand: Hand) -> None:
    hand.do(delete(tasks).where(tasks.c.id == id_of("young")))


@drill("dispatch_without_child", "parent")
def a_child_that_is_nobodys(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("young")).values(parent_id=None, dispatch=None))


@drill("child_without_dispatch", "child")
def a_child_of_another_place(hand: Hand) -> None:
    _dispatch(hand, "child", seq=1)


@drill("child_without_dispatch", "young", also=["child_end_lost"])
def a_child_of_another_task(hand: Hand) -> None:
    hand.forge("parent", 5, execution_id=str(TASKS["child"]))


@drill("child_end_lost", "parent")
def an_outcome_is_forgotten(hand: Hand) -> None:
    hand.forge("parent", 7, kind="signal_received", key="x", name="go", payload=None)


@drill("child_of_another_tenant", "young")
def a_child_moves(hand: Hand) -> None:
    hand.do(update(tasks).where(tasks.c.id == id_of("young")).values(tenant_id="south"))


@drill("child_too_deep", "young")
def a_child_jumps(hand: Hand) -> None:
    _dispatch(hand, "young", depth=2)


@drill("wake_lost", "parent")
def a_parent_that_nobody_wakes(hand: Hand) -> None:
    _told(hand, "parent", 5, hand.ago(minutes=2))


@drill("told_twice", "parent", also=["wake_lost"])
def an_end_is_told_once_more(hand: Hand) -> None:
    _told(hand, "parent", 4, hand.ago(minutes=2))


def _told(hand: Hand, task: str, seq: int, moment: object) -> None:
    path = hand.connection.execute(select(journal.c.content).where(at(task, seq))).scalar_one()["path"]
    values = {"tenant_id": "north", "kind": "signal", "key": str(uuid4()), "name": f"@child/1/{path}", "payload": {}}
    hand.do(insert(inbox).values(task_id=id_of(task), number=-seq, id=uuid4(), at=moment, **values))
