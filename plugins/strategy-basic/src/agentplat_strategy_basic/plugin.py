"""What agentplat-strategy-basic offers to agentplat."""

from __future__ import annotations

from agentplat import CheckSpec, StrategySpec, hookimpl
from agentplat_strategy_basic.checks import assessment_approved, quality_threshold

API_LEVEL = 1


@hookimpl
def agentplat_strategies() -> list[StrategySpec]:
    """The strategies `sequential` and `iterative_refinement`."""
    return [
        StrategySpec(
            name="sequential",
            description="Runs the steps in order; each gets the output of the one before.",
            factory="agentplat_strategy_basic.sequential:Sequential",
        ),
        StrategySpec(
            name="iterative_refinement",
            description="Runs the steps in order, again and again with feedback, until the last one is satisfied.",
            factory="agentplat_strategy_basic.refinement:IterativeRefinement",
        ),
    ]


@hookimpl
def agentplat_convergence_checks() -> list[CheckSpec]:
    """The checks `assessment_approved` and `quality_threshold`."""
    return [
        CheckSpec(
            name="assessment_approved",
            description="The output's `approved` is true.",
            check=assessment_approved,
        ),
        CheckSpec(
            name="quality_threshold",
            description="The output's `quality_score` is at least the option `quality_threshold` (0.8).",
            check=quality_threshold,
        ),
    ]
