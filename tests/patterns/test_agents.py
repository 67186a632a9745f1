"""The patterns of agents; what each of them says is written down here."""

from typing import Any

import pytest

from .stage import Said, Stage


@pytest.mark.parametrize("approved", [True, False])
async def test_a_check_ends_a_chain_of_prompts_that_is_not_worth_going_on_with(
    stage: Stage, said: Said, approved: bool
) -> None:
    said["writer"] = ["first, second"] + ["the text"] * approved
    said["critic"] = [{"approved": approved, "feedback": ""}]
    case = await stage.play("agent_prompt_chaining", topic="bees")
    await case.ends()
    assert case.begun() == ["outline", "check"] + ["text"] * approved
    assert case.input("check") == {"outline": "first, second"}
    assert not approved or case.input("text") == {"follow": "first, second"}


async def test_the_branch_runs_that_the_agent_names(stage: Stage, said: Said) -> None:
    said["clerk"], said["writer"] = ["Dunno.", "money"], ["paid back"]
    case = await stage.play("agent_routing", question="Where is my money?")
    assert await case.ends() == {"result": "paid back"}
    assert case.begun() == ["classify", "classify#2", "billing"]


async def test_parts_are_done_at_the_same_time_and_put_together(stage: Stage, said: Said) -> None:
    said["clerk"], said["writer"] = ["a part", "a part"], ["the whole"]
    case = await stage.play("agent_sectioning", topic="bees")
    assert await case.ends() == {"result": "the whole"}
    kinds = [kind for kind, _ in case.happened("step_started", "step_succeeded")]
    assert kinds[:3] == ["step_started", "step_started", "step_succeeded"]
    assert case.input("article")["results"] == [{"result": "a part"}, {"result": "a part"}]


async def test_the_answer_of_more_than_half_wins(stage: Stage, said: Said) -> None:
    said["clerk"] = ["four", "five", "Four"]
    case = await stage.play("agent_voting", question="2 + 2?")
    output = await case.ends()
    assert output["answer"]["result"].lower() == "four"
    assert (output["votes"], case.times("answer")) == (2, 3)


async def test_an_agent_plans_the_steps_that_workers_do(stage: Stage, said: Said) -> None:
    steps: list[Any] = [
        {"name": "look", "agent": "clerk"},
        {"name": "add", "tool": "calculator", "input": {"expression": "20 + 22"}},
        {"name": "tell", "agent": "critic", "needs": ["look", "add"]},
    ]
    said["planner"], said["clerk"] = [{"steps": steps}], ["seen"]
    said["critic"], said["writer"] = [{"approved": True, "feedback": "good"}], ["done"]
    case = await stage.play("agent_orchestrator_workers", task="anything")
    assert await case.ends() == {"result": "done"}
    assert case.input("tell") == {"look": {"result": "seen"}, "add": {"result": 42}}
    assert set(case.input("combine")["results"]) == {"look", "add", "tell"}


async def test_what_the_judge_says_goes_into_the_next_try_until_it_is_good(stage: Stage, said: Said) -> None:
    said["writer"] = ["first", "second"]
    said["critic"] = [{"approved": False, "feedback": "shorter"}, {"approved": True, "feedback": ""}]
    case = await stage.play("agent_evaluator_optimizer", topic="bees")
    output = await case.ends()
    assert (output["status"], output["research_findings"]) == ("completed_converged", {"result": "second"})
    assert case.begun() == ["write", "judge", "write#2", "judge#2"]
    assert case.input("write#2") == {"topic": "bees", "previous_feedback": "shorter"}


async def test_an_agent_uses_tools_until_it_is_done(stage: Stage, said: Said) -> None:
    said["manager"] = [
        {"next": "calculate", "input": {"expression": "6 * 7"}},
        {"next": "calculate", "input": {"expression": "1 / 0"}},
        {"next": "finish", "answer": "42"},
    ]
    case = await stage.play("agent_autonomous_loop", goal="the answer")
    output = await case.ends()
    assert (output["status"], output["output"]["answer"]) == ("completed_decided", "42")
    first, second = case.input("think#3")["transcript"]
    assert first == {"step": "calculate", "output": {"result": 42}}
    assert "failure" in second


async def test_an_agent_that_is_never_done_has_no_turns_left_at_some_time(stage: Stage, said: Said) -> None:
    said["manager"] = [{"next": "calculate", "input": {"expression": f"{turn} + 1"}} for turn in range(4)]
    case = await stage.play("agent_autonomous_loop", goal="the answer")
    output = await case.ends()
    assert (output["status"], output["output"]) == ("completed_max_turns", {"result": 4})
    assert (case.times("think"), case.times("calculate")) == (4, 4)


async def test_who_acts_hands_over_to_another_one(stage: Stage, said: Said) -> None:
    said["manager"] = [{"next": "refunds", "answer": "paid twice"}, {"answer": "paid back"}]
    case = await stage.play("agent_handoff", question="Where is my money?")
    output = await case.ends()
    assert (output["output"], output["last"]) == ({"answer": "paid back"}, "refunds")
    assert case.begun() == ["triage", "refunds"]
    assert case.input("refunds")["transcript"][0]["output"]["answer"] == "paid twice"


async def test_all_speak_in_turns_to_one_transcript(stage: Stage, said: Said) -> None:
    said["writer"] = ["a hive", "two hives"]
    said["critic"] = [{"approved": False, "feedback": "more"}, {"approved": True, "feedback": ""}]
    case = await stage.play("agent_group_chat", topic="bees")
    output = await case.ends()
    assert (output["status"], output["turns"]) == ("completed_converged", 4)
    assert [line["step"] for line in case.input("review#2")["transcript"]] == ["idea", "review", "idea"]


async def test_agents_argue_in_rounds_and_a_judge_decides(stage: Stage, said: Said) -> None:
    said["writer"], said["clerk"] = ["yes", "yes!"], ["no", "no!"]
    said["critic"] = [{"approved": True, "feedback": "yes has it"}]
    case = await stage.play("agent_debate", question="Tea?")
    output = await case.ends()
    assert output["verdict"]["feedback"] == "yes has it"
    assert case.begun() == ["for", "against", "for#2", "against#2", "judge"]
    assert [line["output"]["result"] for line in case.input("judge")["transcript"]] == ["yes", "no", "yes!", "no!"]


async def test_facts_wake_whoever_waits_for_them(stage: Stage, said: Said) -> None:
    said["writer"] = ["short", "long"]
    said["critic"] = [{"approved": False, "feedback": "longer"}, {"approved": True, "feedback": "longer"}]
    case = await stage.play("agent_blackboard", topic="bees")
    output = await case.ends()
    assert output["status"] == "completed_settled"
    assert case.begun() == ["draft", "review", "revise", "review#2"]
    assert (output["facts"]["text"], output["facts"]["approved"]) == ({"result": "long"}, True)
