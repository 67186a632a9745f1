"""How schedules are broken."""

from __future__ import annotations

from sqlalchemy import update

from agentplat.store.tables import schedules

from .hand import Hand, drill

NAMED = ["north/nightly"]


def _set(hand: Hand, **values: object) -> list[str]:
    hand.do(update(schedules).where(schedules.c.name == "nightly").values(**values))
    return NAMED


@drill("schedule_goes_back")
def a_schedule_that_was_restored_from_before(hand: Hand) -> list[str]:
    return _set(hand, last_at=hand.ago(minutes=-24 * 60))


@drill("schedule_shape")
def a_policy_that_nobody_knows(hand: Hand) -> list[str]:
    hand.unbind("schedules")
    return _set(hand, catch_up="some")


@drill("schedule_overdue")
def a_time_that_was_left_behind(hand: Hand) -> list[str]:
    return _set(hand, next_at=hand.ago(minutes=2), last_at=None)


@drill("schedule_fault")
def a_workflow_that_is_gone(hand: Hand) -> list[str]:
    return _set(hand, fault={"code": "unknown_name", "detail": "gone", "at": "2026-01-01T00:00:00+00:00"})
