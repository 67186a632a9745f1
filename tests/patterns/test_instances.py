"""Several instances of one step: WCP-12 to WCP-15, WCP-26, WCP-27 and WCP-34 to WCP-36."""

from typing import Any

from .stage import Said, Stage


async def test_nobody_waits_for_instances_on_their_own(stage: Stage) -> None:
    case = await stage.play("wcp12_instances_without_synchronization", guests=["ann", "bob"])
    await case.waits_at("remind[0]", "remind[1]")
    assert case.times("book") == 1
    await case.signal("reminded")
    await case.waits_at("remind[1]")
    await case.signal("reminded")
    await case.ends()


async def test_as_many_instances_as_the_file_says_run_at_once_and_are_waited_for(stage: Stage) -> None:
    case = await stage.play("wcp13_instances_known_at_design_time")
    await case.waits_at("sign[0]", "sign[1]", "sign[2]")
    await case.signal("signed")
    await case.signal("signed")
    await case.waits_at("sign[2]")
    assert case.times("archive") == 0
    await case.signal("signed")
    assert await case.ends() == {"signatures": 3}


async def test_as_many_instances_run_as_an_earlier_step_found(stage: Stage) -> None:
    case = await stage.play("wcp14_instances_known_at_run_time", pages=6)
    assert await case.ends() == {"result": 10 + 0 + 20 + 1 + 30 + 2}
    assert case.times("review") == 3
    fewer = await stage.play("wcp14_instances_known_at_run_time", pages=2)
    assert await fewer.ends() == {"result": 10}


async def test_what_instances_gave_adds_more_of_them(stage: Stage, said: Said) -> None:
    ann, bob, eve = ({"name": name, "wait": {"signal": name}} for name in ("ann", "bob", "eve"))
    said["planner"] = [{"steps": [ann, bob]}, {"steps": [eve]}, {"steps": []}]
    case = await stage.play("wcp15_instances_not_known_beforehand")
    await case.waits_at("ann", "bob")
    await case.signal("bob", {"says": "ask eve"})
    await case.waits_at("ann")
    await case.signal("ann")
    await case.waits_at("eve")
    assert case.input("whom_to_ask#2")["results"] == {"ann": {}, "bob": {"says": "ask eve"}}
    await case.signal("eve", {"says": "nobody"})
    output = await case.ends()
    assert set(output["results"]) == {"ann", "bob", "eve"}


async def test_instances_that_are_not_done_are_withdrawn_and_the_case_goes_on(stage: Stage) -> None:
    case = await stage.play("wcp26_cancel_instances", guests=["ann", "bob", "eve", "dan"])
    await case.waits_at("party/call_off", "party/invite[0]", "party/invite[1]")
    await case.signal("answered")
    await case.waits_at("party/call_off", "party/invite[1]", "party/invite[2]")
    await case.signal("called_off")
    await case.ends()
    assert case.cancelled() == {"party/invite[1]", "party/invite[2]"}
    assert "party/invite[0]" in case.done()
    assert (case.times("invite"), case.times("clean")) == (3, 1)


async def test_the_case_goes_on_with_the_instances_that_are_done_in_time(stage: Stage) -> None:
    case = await stage.play("wcp27_complete_instances", papers=["a", "b", "c"])
    await case.waits_at("grade[0]", "grade[1]", "grade[2]")
    await case.signal("graded", {"mark": 1})
    await case.signal("graded", {"mark": 2})
    await case.waits_at("grade[2]")
    assert await case.ends() == {"graded": 2}
    assert case.done() >= {"grade[0]", "grade[1]"}
    assert case.happened("timer_fired") == [("timer_fired", "grade[2]")]


async def test_two_of_three_planned_instances_are_enough_and_the_third_goes_on(stage: Stage, said: Said) -> None:
    jurors: list[Any] = [{"name": name, "wait": {"signal": name}} for name in ("ann", "bob", "eve")]
    verdict: dict[str, Any] = {"name": "verdict", "needs": ["ann", "bob", "eve"], "needed": {"n_of": 2}}
    jury = [*jurors, {**verdict, "emit": {"event": "decided", "data": {"decided": True}}}]
    said["planner"] = [{"steps": [{"name": "jury", "strategy": "dag", "steps": jury}]}]
    case = await stage.play("wcp34_static_partial_join_of_instances")
    await case.waits_at("jury/ann", "jury/bob", "jury/eve")
    await case.signal("bob")
    await case.signal("eve")
    await case.waits_at("jury/ann")
    assert case.times("verdict") == 1
    await case.signal("ann")
    output = await case.ends()
    assert output["results"] == {"jury": {"decided": True}}
    assert (case.times("verdict"), case.cancelled()) == (1, set())


async def test_two_of_three_instances_are_enough_and_the_third_is_cancelled(stage: Stage) -> None:
    case = await stage.play("wcp35_cancelling_partial_join_of_instances", jurors=["ann", "bob", "eve"])
    await case.waits_at("jury[0]", "jury[1]", "jury[2]")
    await case.signal("voted")
    await case.waits_at("jury[1]", "jury[2]")
    assert case.times("verdict") == 0
    await case.signal("voted")
    assert await case.ends() == {"votes": 2}
    assert case.cancelled() == {"jury[2]"}


async def test_what_has_ended_decides_whether_instances_are_added(stage: Stage, said: Said) -> None:
    def asked(place: int, *names: str) -> dict[str, Any]:
        steps = [{"name": name, "wait": {"signal": name}} for name in names]
        return {"steps": [{"name": f"asked_{place}", "strategy": "parallel", "join": "any", "steps": steps}]}

    said["planner"] = [asked(1, "ann", "bob"), asked(2, "eve", "dan", "tom"), {"steps": []}]
    said["writer"] = ["two are enough"]
    case = await stage.play("wcp36_dynamic_partial_join_of_instances")
    await case.waits_at("asked_1/ann", "asked_1/bob")
    await case.signal("bob", {"vote": 1})
    await case.waits_at("asked_2/eve", "asked_2/dan", "asked_2/tom")
    assert case.times("report") == 0
    await case.signal("tom", {"vote": 2})
    assert await case.ends() == {"result": "two are enough"}
    assert case.cancelled() == {"asked_1/ann", "asked_2/eve", "asked_2/dan"}
    assert case.input("enough#3")["results"] == {"asked_1": {"vote": 1}, "asked_2": {"vote": 2}}
