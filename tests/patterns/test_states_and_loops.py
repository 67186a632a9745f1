"""What the state of the case, its loops, ends and signals decide: the rest of the catalogue."""

from collections import Counter
from itertools import pairwise

import pytest

from agentplat.domain.task import TaskState

from .stage import Said, Stage


async def test_steps_are_repeated_by_loops_with_several_ways_in_and_out(stage: Stage) -> None:
    case = await stage.play("wcp10_arbitrary_cycles", checks=["draft", "draw", "draw"])
    await case.ends()
    names = [path.partition("#")[0] for path in case.begun()]
    assert names == ["draft", "check", "draft", "check", "draw", "draft", "check", "draw", "print"]


async def test_the_case_ends_when_nothing_is_left_to_do(stage: Stage) -> None:
    case = await stage.play("wcp11_implicit_termination")
    await case.waits_at("pack", "bill")
    await case.signal("billed", {"number": 7})
    await case.waits_at("pack")
    await case.signal("packed", {"box": "b"})
    assert await case.ends() == {"pack": {"box": "b"}, "bill": {"number": 7}}


@pytest.mark.parametrize("first", ["accepted", "refused"])
async def test_what_happens_first_chooses_and_withdraws_the_other_choices(stage: Stage, first: str) -> None:
    case = await stage.play("wcp16_deferred_choice")
    ways = {"accepted", "refused", "silence"}
    await case.waits_at(*(f"answer/{way}" for way in ways))
    assert case.cancelled() == set()
    await case.signal(first, {"by": first})
    assert await case.ends() == {"by": first}
    assert case.cancelled() == {f"answer/{way}" for way in ways - {first}}


async def test_one_step_at_a_time_runs_in_an_order_that_is_allowed(stage: Stage) -> None:
    case = await stage.play("wcp17_interleaved_parallel_routing", patient="ann")
    order = {"take_blood": "taken", "x_ray": "x_rayed", "read_x_ray": "read"}
    for step, signal in order.items():
        await case.waits_at(step)  # and at no other
        await case.signal(signal)
    await case.ends()
    assert case.begun() == list(order)


async def test_a_step_is_possible_only_between_two_points(stage: Stage) -> None:
    case = await stage.play("wcp18_milestone")
    await case.waits_at("confirm")
    await case.signal("change", {"to": "blue"})
    await case.waits_at("confirm")
    assert case.times("change") == 0
    await case.signal("confirmed")
    await case.waits_at("confirmed/ship", "confirmed/changes/ask#2")
    assert case.output("confirmed/changes/change") == {"to": "blue"}
    await case.signal("shipped")
    await case.waits_at("deliver")
    assert case.cancelled() == {"confirmed/changes/ask#2"}
    await case.signal("change", {"to": "red"})
    await case.signal("delivered")
    await case.ends()
    assert case.times("change") == 1


async def test_a_step_is_withdrawn_and_the_case_goes_on(stage: Stage) -> None:
    case = await stage.play("wcp19_cancel_task")
    await case.waits_at("inspection/inspect", "inspection/withdraw")
    await case.signal("withdrawn")
    assert await case.ends() == {"seen": False}
    assert case.cancelled() == {"inspection/inspect"}


async def test_a_case_is_withdrawn_as_a_whole(stage: Stage) -> None:
    case = await stage.play("wcp20_cancel_case")
    await case.waits_at("travel/board", "insure")
    await case.cancel()
    await case.ends(TaskState.CANCELLED)
    assert case.cancelled() == {"travel/board", "insure"}
    assert [path.rpartition("/")[2] for path in case.begun()][-2:] == ["unbook", "close"]


async def test_steps_are_repeated_until_a_condition_holds(stage: Stage) -> None:
    case = await stage.play("wcp21_structured_loop")
    output = await case.ends()
    assert (output["status"], output["final_assessment"]) == ("completed_converged", {"level": 3})
    assert (case.times("fill"), case.times("measure")) == (3, 3)


async def test_work_begins_again_within_itself_until_a_part_is_small_enough(stage: Stage) -> None:
    case = await stage.play("wcp22_recursion", size=5)
    assert await case.ends() == {"leaves": 5}
    assert (case.times("halves"), case.times("leaf")) == (2, 0)
    sizes = {1: 5, 2: 2, 3: 1, 5: 1}  # 5 is 2 and 3, 2 is 1 and 1, 3 is 1 and 2, and that 2 is 1 and 1
    tasks = [case, *await case.descendants()]
    assert Counter(task.view.input["size"] for task in tasks) == sizes
    assert sum(task.times("leaf") for task in tasks) == 5


async def test_a_signal_for_which_nobody_waits_is_lost(stage: Stage) -> None:
    case = await stage.play("wcp23_transient_trigger")
    await case.waits_at("prepare")
    for early in ("ann", "bob"):
        await case.signal("bell", {"who": early})
    await case.signal("prepared")
    await case.waits_at("listen")
    assert case.times("open") == 0
    await case.signal("bell", {"who": "eve"})
    assert await case.ends() == {"who": "eve"}


async def test_a_signal_is_kept_until_a_step_waits_for_it(stage: Stage) -> None:
    case = await stage.play("wcp24_persistent_trigger")
    await case.waits_at("prepare")
    await case.signal("bell", {"who": "ann"})
    await case.waits_at("prepare")
    assert case.times("open") == 0
    await case.signal("prepared")
    assert await case.ends() == {"who": "ann"}


async def test_a_group_of_steps_is_withdrawn_and_what_is_outside_stays(stage: Stage) -> None:
    case = await stage.play("wcp25_cancel_region")
    region = [f"inspection/region/{step}" for step in ("roof", "wiring")]
    await case.waits_at("outside", "inspection/withdraw", *region)
    await case.signal("withdrawn")
    await case.waits_at("outside")
    assert case.cancelled() == set(region)
    await case.signal("outside_done")
    await case.ends()
    assert case.times("report") == 0


async def test_each_step_runs_once_in_any_order_and_never_two_at_once(stage: Stage) -> None:
    order = {"lungs": "lungs_heard", "x_ray": "x_rayed", "blood": "blood_taken"}
    case = await stage.play("wcp40_interleaved_routing", order=list(order))
    for place, (step, signal) in enumerate(order.items()):
        await case.waits_at(f"tests[{place}]/{step}")  # and at no other
        await case.signal(signal)
    assert await case.ends() == {"tests": 3}
    assert [path.rpartition("/")[2] for path in case.begun()] == [*order, "diagnose"]


async def test_one_group_of_steps_at_a_time_is_under_way_and_the_rest_goes_on(stage: Stage, said: Said) -> None:
    said["clerk"] = ["done"] * 2 * 2 * 3
    cases = [await stage.play("wcp39_critical_section", yard="north") for _ in range(3)]
    for case in cases:
        await case.waits_at("rest")
        await case.signal("rest_done")
        await case.ends()
        assert case.done() >= {"rest", "bow", "aft/stern"}
    groups = [child for case in cases for child in await case.descendants()]
    assert [group.begun() for group in groups] == [["lift", "weld"]] * 6
    spans = sorted((group.at("task_claimed"), group.at("task_finished")) for group in groups)
    for (_, end), (begin, _) in pairwise(spans):
        assert end <= begin, "two groups were under way at the same time"


async def test_a_certain_step_ends_the_whole_case(stage: Stage) -> None:
    case = await stage.play("wcp43_explicit_termination")
    await case.waits_at("search", "watch/alarm")
    await case.signal("alarm", {"of": "smoke"})
    assert await case.ends() == {"because": "smoke"}
    assert case.cancelled() == {"search"}
