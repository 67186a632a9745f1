"""Drives research and assessment by the real strategy, step by step, without a database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentplat_agent_assessment.agent import AssessmentAgent
from agentplat_agent_research.agent import ResearchAgent
from agentplat_llm_offline.client import OfflineProvider
from agentplat_strategy_basic.checks import assessment_approved
from agentplat_strategy_basic.refinement import IterativeRefinement
from agentplat_testkit import StepHarness
from agentplat_tool_document_search.tool import DocumentSearch

from agentplat import BlockView, Finish, JsonValue, Settled, Start

STEPS = {"conduct_research": "research", "assess_quality": "assessment"}
DOCUMENTS = Path(__file__).parent / "documents"

SEARCH = DocumentSearch()  # one for all, so that a folder is indexed once


@dataclass(frozen=True, slots=True)
class Iteration:
    given: dict[str, Any]
    research: dict[str, Any]
    assessment: dict[str, Any]

    @property
    def score(self) -> float:
        score: float = self.assessment["quality_score"]
        return score


@dataclass(frozen=True, slots=True)
class Ending:
    iterations: list[Iteration]
    output: dict[str, Any]

    @property
    def converged(self) -> bool:
        return bool(self.output["status"] == "completed_converged")

    @property
    def scores(self) -> list[float]:
        return [iteration.score for iteration in self.iterations]

    @property
    def last(self) -> Iteration:
        return self.iterations[-1]


async def step(agent: str, given: JsonValue, folder: Path | None) -> Any:
    """One step as a worker runs it, with the offline model over `folder`; None is the shipped guides."""
    harness = StepHarness(
        agents=[ResearchAgent(), AssessmentAgent()],
        tools=[SEARCH],
        model=OfflineProvider(),
        generates=False,
        config={"model": "offline:extractive"},
        settings={"folder": str(folder)} if folder else {},
    )
    return await harness.run_agent(agent, given)


async def iterate(topic: str, folder: Path | None, *, feedback: bool = True) -> Ending:
    """Everything that `research_assessment` does with `topic`. Without `feedback`, it is withheld from the agent."""
    strategy = IterativeRefinement()
    block = BlockView(
        steps=tuple(STEPS),
        input={"topic": topic},
        settled=(),
        max_iterations=3,
        converged=lambda output: assessment_approved(output, {}),
    )
    inputs: list[Any] = []
    while isinstance(decision := strategy.decide(block), Start):
        (name,) = decision.steps
        given: Any = decision.input
        if not feedback:
            given = {key: value for key, value in given.items() if key != "previous_feedback"}
        inputs.append(given)
        output = await step(STEPS[name], given, folder)
        settled = Settled(step=name, number=block.count(name) + 1, status="succeeded", output=output)
        block = replace(block, settled=(*block.settled, settled))
    assert isinstance(decision, Finish)
    outputs: list[Any] = [execution.output for execution in block.settled]
    iterations = [
        Iteration(given, research, assessment)
        for given, research, assessment in zip(inputs[::2], outputs[::2], outputs[1::2], strict=True)
    ]
    final: Any = decision.output
    return Ending(iterations, final)
