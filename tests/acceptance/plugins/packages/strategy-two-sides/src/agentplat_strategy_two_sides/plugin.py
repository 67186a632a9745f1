"""What agentplat-strategy-two-sides offers to agentplat."""

from agentplat import StrategySpec, hookimpl

API_LEVEL = 1
FACTORY = "agentplat_strategy_two_sides.strategy:TwoSides"


@hookimpl
def agentplat_strategies() -> list[StrategySpec]:
    return [StrategySpec(name="two_sides", description="Steps argue in turns, the last one judges.", factory=FACTORY)]
