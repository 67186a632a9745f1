"""Basic control flow: WCP-1 to WCP-5."""

import pytest

from .stage import Stage


async def test_a_step_begins_when_the_one_before_it_has_ended(stage: Stage) -> None:
    case = await stage.play("wcp01_sequence", price=15)
    assert await case.ends() == {"result": 25}
    assert case.happened("step_started", "step_succeeded") == [
        ("step_started", "with_freight"),
        ("step_succeeded", "with_freight"),
        ("step_started", "with_tax"),
        ("step_succeeded", "with_tax"),
    ]


async def test_branches_run_at_the_same_time(stage: Stage) -> None:
    case = await stage.play("wcp02_parallel_split")
    await case.waits_at("pack", "bill")
    await case.signal("billed")
    await case.waits_at("pack")
    await case.signal("packed")
    assert await case.ends() == {"pack": {}, "bill": {}}


async def test_a_join_waits_for_all_branches_and_runs_once(stage: Stage) -> None:
    case = await stage.play("wcp03_synchronization")
    await case.waits_at("pack", "bill")
    await case.signal("billed", {"number": 7})
    await case.waits_at("pack")
    assert case.times("ship") == 0
    await case.signal("packed", {"box": "b"})
    assert await case.ends() == {"box": "b", "bill": 7}
    assert case.times("ship") == 1


@pytest.mark.parametrize(("amount", "taken"), [(1001, "by_hand"), (1000, "at_once")])
async def test_exactly_one_branch_is_taken(stage: Stage, amount: int, taken: str) -> None:
    case = await stage.play("wcp04_exclusive_choice", amount=amount)
    await case.ends()
    assert case.begun() == [taken]


@pytest.mark.parametrize(("member", "amount"), [(True, 90), (False, 100)])
async def test_what_follows_alternatives_runs_once_after_the_one_that_was_taken(
    stage: Stage, member: bool, amount: int
) -> None:
    case = await stage.play("wcp05_simple_merge", member=member)
    assert await case.ends() == {"amount": amount}
    assert case.times("bill") == 1
    assert len(case.skipped()) == 1
