"""What agentplat-strategy-graph offers to agentplat."""

from __future__ import annotations

from agentplat import StrategySpec, hookimpl
from agentplat_strategy_graph.options import BATCH, JOIN, NEEDED, ROUTER, options

API_LEVEL = 1


@hookimpl
def agentplat_strategies() -> list[StrategySpec]:
    """The strategies `parallel`, `dag`, `map_reduce` and `router`."""
    return [
        StrategySpec(
            name="parallel",
            description="Runs all steps at once, and cancels the rest when enough have succeeded.",
            factory="agentplat_strategy_graph.parallel:Parallel",
            options=options(join=JOIN),
        ),
        StrategySpec(
            name="dag",
            description="Starts each step when the steps that it needs have ended.",
            factory="agentplat_strategy_graph.needs:ByNeeds",
            options=options(),
            step_options=options(needed=NEEDED),
        ),
        StrategySpec(
            name="map_reduce",
            description="Runs all steps but the last at once; the last one makes one result of theirs.",
            factory="agentplat_strategy_graph.map_reduce:MapReduce",
            options=options(batch=BATCH),
        ),
        StrategySpec(
            name="router",
            description="Runs the branches that the first step, or an expression, chooses.",
            factory="agentplat_strategy_graph.router:Router",
            options=ROUTER,
            expressions=("route",),
        ),
    ]
