"""Branches that split and meet: WCP-6 to WCP-9, WCP-28 to WCP-33, WCP-37, WCP-38, WCP-41 and WCP-42."""

import pytest

from .stage import Stage


@pytest.mark.parametrize("services", [["fire"], ["police", "doctor"], ["police", "fire", "doctor"]])
async def test_as_many_branches_are_taken_as_the_data_says(stage: Stage, services: list[str]) -> None:
    case = await stage.play("wcp06_multi_choice", services=services)
    assert set(await case.ends()) == set(services)
    assert case.begun() == services


async def test_a_merge_waits_for_all_branches_that_were_taken(stage: Stage) -> None:
    case = await stage.play("wcp07_structured_synchronizing_merge", police=True, doctor=True)
    await case.waits_at("police", "doctor")
    await case.signal("doctor_came")
    await case.waits_at("police")
    assert case.times("report") == 0
    await case.signal("police_came")
    assert await case.ends() == {"written": True}
    assert case.times("report") == 1


async def test_a_merge_does_not_wait_for_a_branch_that_was_not_taken(stage: Stage) -> None:
    case = await stage.play("wcp07_structured_synchronizing_merge", police=False, doctor=True)
    await case.waits_at("doctor")
    await case.signal("doctor_came")
    assert await case.ends() == {"written": True}
    assert case.skipped() == {"police"}


async def test_what_follows_runs_once_for_each_branch_without_waiting_for_the_others(stage: Stage) -> None:
    case = await stage.play("wcp08_multi_merge")
    await case.waits_at("house[0]/inspect/roof", "house[1]/inspect/wiring")
    await case.signal("wiring_seen")
    await case.waits_at("house[0]/inspect/roof")
    assert case.output("house[1]/file_report") == {"about": "wiring"}
    await case.signal("roof_seen")
    assert await case.ends() == {"result": [{"about": "roof"}, {"about": "wiring"}]}
    assert case.times("file_report") == 2


async def test_the_first_branch_starts_what_follows_and_the_second_one_changes_nothing(stage: Stage) -> None:
    case = await stage.play("wcp09_structured_discriminator")
    await case.waits_at("north", "south")
    await case.signal("south_measured")
    await case.waits_at("north")
    assert case.times("warn") == 1
    await case.signal("north_measured")
    assert await case.ends() == {"warned": True}
    assert case.times("warn") == 1
    assert case.cancelled() == set()


async def test_a_second_round_waits_for_the_late_branch_of_the_first_one(stage: Stage) -> None:
    case = await stage.play("wcp28_blocking_discriminator")
    await case.waits_at("round/north", "round/south")
    await case.signal("north_measured")
    await case.signal("north_measured")  # which is for the second round
    await case.waits_at("round/south")
    assert case.times("warn") == 1
    await case.signal("south_measured")
    await case.waits_at("round#2/south")
    assert case.times("warn") == 2
    await case.signal("south_measured")
    await case.ends()
    assert case.times("warn") == 2


async def test_the_first_branch_starts_what_follows_and_ends_the_others(stage: Stage) -> None:
    case = await stage.play("wcp29_cancelling_discriminator")
    await case.waits_at("first/north", "first/south")
    await case.signal("north_measured", {"level": 4})
    assert await case.ends() == {"level": 4}
    assert case.cancelled() == {"first/south"}


async def test_two_of_three_branches_start_what_follows_and_the_third_goes_on(stage: Stage) -> None:
    case = await stage.play("wcp30_structured_partial_join")
    await case.waits_at("ann", "bob", "eve")
    await case.signal("eve_agreed")
    await case.waits_at("ann", "bob")
    assert case.times("decide") == 0
    await case.signal("ann_agreed")
    await case.waits_at("bob")
    assert case.times("decide") == 1
    await case.signal("bob_agreed")
    assert await case.ends() == {"decided": True}
    assert case.times("decide") == 1
    assert case.cancelled() == set()


async def test_a_second_round_of_a_partial_join_waits_for_all_of_the_first_one(stage: Stage) -> None:
    case = await stage.play("wcp31_blocking_partial_join")
    await case.waits_at("round/ann", "round/bob", "round/eve")
    await case.signal("ann_agreed")
    await case.waits_at("round/bob", "round/eve")
    assert case.times("decide") == 0
    for name in ("bob", "ann", "bob"):
        await case.signal(f"{name}_agreed")
    await case.waits_at("round/eve")
    assert case.times("decide") == 1
    await case.signal("eve_agreed")
    await case.waits_at("round#2/eve")
    assert case.times("decide") == 2
    await case.signal("eve_agreed")
    await case.ends()
    assert case.times("decide") == 2


async def test_two_of_three_branches_start_what_follows_and_end_the_third(stage: Stage) -> None:
    case = await stage.play("wcp32_cancelling_partial_join")
    await case.waits_at("board/ann", "board/bob", "board/eve")
    await case.signal("eve_agreed")
    await case.waits_at("board/ann", "board/bob")
    assert case.times("decide") == 0
    await case.signal("ann_agreed")
    assert await case.ends() == {"agreed": ["ann", "eve"]}
    assert case.cancelled() == {"board/bob"}


async def test_what_one_branch_brings_too_often_is_kept_for_the_next_set(stage: Stage) -> None:
    case = await stage.play("wcp33_generalised_and_join")
    await case.waits_at("pair/frame", "pair/wheel")
    await case.signal("frame_made", {"number": 1})
    await case.waits_at("pair/wheel")
    await case.signal("frame_made", {"number": 2})
    await case.signal("wheel_made", {"number": 10})
    await case.waits_at("pair#2/wheel")
    assert case.output("assemble") == {"of": [1, 10]}
    await case.signal("wheel_made", {"number": 20})
    await case.ends()
    assert case.output("assemble#2") == {"of": [2, 20]}


async def test_every_step_of_a_graph_waits_for_what_can_still_come(stage: Stage) -> None:
    case = await stage.play("wcp37_local_synchronizing_merge", press=True, law=True)
    await case.waits_at("press", "law")
    await case.signal("press_asked")
    await case.waits_at("law", "quotes")
    await case.signal("quoted")
    await case.waits_at("law")
    assert (case.times("risks"), case.times("publish")) == (0, 0)
    await case.signal("law_asked")
    await case.waits_at("risks")
    assert case.times("publish") == 0
    await case.signal("weighed")
    assert await case.ends() == {"published": True}


async def test_no_step_of_a_graph_waits_for_what_cannot_come_any_more(stage: Stage) -> None:
    case = await stage.play("wcp37_local_synchronizing_merge", press=False, law=True)
    await case.waits_at("law")
    await case.signal("law_asked")
    await case.waits_at("risks")
    await case.signal("weighed")
    assert await case.ends() == {"published": True}
    assert case.times("quotes") == 0


async def test_a_merge_waits_as_long_as_a_branch_goes_round_its_loop(stage: Stage) -> None:
    case = await stage.play("wcp38_general_synchronizing_merge", law=True)
    await case.waits_at("press", "law/ask")
    await case.signal("press_asked")
    await case.waits_at("law/ask")
    await case.signal("law_asked", {"settled": False})
    await case.waits_at("law/ask#2")
    assert case.times("publish") == 0
    await case.signal("law_asked", {"settled": True})
    assert await case.ends() == {"published": True}


async def test_a_merge_does_not_wait_for_a_loop_that_nobody_entered(stage: Stage) -> None:
    case = await stage.play("wcp38_general_synchronizing_merge", law=False)
    await case.waits_at("press")
    await case.signal("press_asked")
    assert await case.ends() == {"published": True}


async def test_all_threads_of_a_branch_become_one(stage: Stage) -> None:
    case = await stage.play("wcp41_thread_merge", parcels=[1, 2, 3])
    await case.waits_at("parcel[0]/load", "parcel[1]/load", "parcel[2]/load")
    await case.signal("loaded")
    await case.signal("loaded")
    await case.waits_at("parcel[2]/load")
    assert case.times("drive") == 0
    await case.signal("loaded")
    assert await case.ends() == {"parcels": 3}
    assert (case.times("weigh"), case.times("drive")) == (3, 1)


async def test_one_thread_becomes_several_in_the_same_branch(stage: Stage) -> None:
    case = await stage.play("wcp42_thread_split", copies=["a", "b"])
    await case.waits_at("copy[0]/print", "copy[1]/print")
    assert case.times("order") == 1
    await case.signal("printed")
    await case.waits_at("copy[1]/print")
    assert case.output("copy[0]/bind") == {"copy": "a"}
    await case.signal("printed")
    assert await case.ends() == {"result": [{"copy": "a"}, {"copy": "b"}]}
