"""The expected history of each stock workflow, run by the engine itself with what is installed."""

from __future__ import annotations

from typing import Any

import pytest

from agentplat.contracts.interface import JournalView

from .conftest import Run

BEGIN = ["task_submitted", "task_claimed", "block_started "]
END = ["block_finished ", "task_finished"]
SPREAD = "sourdough hydration, espresso grind, brake pads, swarming, neap tides"


def ran(*paths: str) -> list[str]:
    return [line for path in paths for line in (f"step_started {path}", f"step_succeeded {path}")]


def told(journal: list[JournalView]) -> list[str]:
    """Each event in short: its kind and its path."""
    return [f"{event.kind} {event.content['path']}" if "path" in event.content else event.kind for event in journal]


def iterations(number: int) -> list[str]:
    paths = ["conduct_research", "assess_quality"]
    return ran(*(path if turn == 1 else f"{path}#{turn}" for turn in range(1, number + 1) for path in paths))


@pytest.mark.parametrize(
    ("topic", "turns", "status"),
    [
        ("What causes tides?", 1, "completed_converged"),
        (SPREAD, 2, "completed_converged"),
        ("The offside rule in football", 3, "completed_max_iterations"),
    ],
)
async def test_research_assessment_iterates_until_it_is_approved(run: Run, topic: str, turns: int, status: str) -> None:
    task, journal = await run("workflow:research_assessment", {"topic": topic})
    assert task.status.value == "done"
    assert told(journal) == [*BEGIN, *iterations(turns), *END]
    output: Any = task.output
    assert (output["status"], output["iterations"]) == (status, turns)
    assert output["final_assessment"]["approved"] is (status == "completed_converged")
    assert output["research_findings"]["topic"] == topic
    assert task.usage.model in ("offline:extractive", None)
    assert task.usage.cost == 0


async def test_the_journal_shows_that_the_second_iteration_differs_because_of_the_feedback(run: Run) -> None:
    _, journal = await run("workflow:research_assessment", {"topic": SPREAD})
    content: dict[str, Any] = {line: event.content for line, event in zip(told(journal), journal, strict=True)}
    feedback = content["step_succeeded assess_quality"]["output"]["feedback"]
    assert feedback.startswith("Not covered yet: “")
    assert content["step_started conduct_research"]["input"] == {"topic": SPREAD}
    assert content["step_started conduct_research#2"]["input"] == {"topic": SPREAD, "previous_feedback": feedback}
    first = content["step_succeeded conduct_research"]["output"]["sources"]
    second = content["step_succeeded conduct_research#2"]["output"]["sources"]
    assert len(second) > len(first)


async def test_simple_sequential_researches_and_summarizes(run: Run) -> None:
    task, journal = await run("workflow:simple_sequential", {"topic": "coffee roasting temperatures"})
    assert told(journal) == [*BEGIN, *ran("conduct_research", "summarize_findings"), *END]
    output: Any = task.output
    assert "degrees Celsius [1]." in output["summary"]
    assert output["key_points"]
    assert output["sources"][0].startswith("kitchen/coffee.md")


@pytest.mark.parametrize("field", ["text", "topic", "description"])
async def test_content_review_summarizes_and_reviews(run: Run, field: str) -> None:
    text = (
        "The river flooded the lower town during the night. People carried their belongings to the upper floors. "
        "By noon the river had reached the market of the town. The town council wants a wall along the river."
    )
    task, journal = await run("workflow:content_review", {field: text})
    assert told(journal) == [*BEGIN, *ran("summarize_content", "review_content"), *END]
    output: Any = task.output
    assert set(output) == {"summary", "key_points", "review"}
    assert output["review"]["approved"] is True
    assert output["review"]["grounding"] == 1.0


async def test_a_workflow_without_a_topic_ends_as_an_error_that_names_the_place(run: Run) -> None:
    task, _ = await run("workflow:research_assessment", {"colour": "blue"})
    assert task.status.value == "error"
    assert task.failure is not None
    assert task.failure.code == "invalid_input"
    assert "/topic" in task.failure.message
