"""What agentplat-strategy-team offers to agentplat."""

from __future__ import annotations

from agentplat import StrategySpec, hookimpl
from agentplat_strategy_team import options

API_LEVEL = 1


@hookimpl
def agentplat_strategies() -> list[StrategySpec]:
    """The strategies `vote`, `debate`, `supervisor`, `handoff`, `group_chat` and `plan_execute`."""
    return [
        StrategySpec(
            name="vote",
            description="Several steps or samples answer at once; the majority, weights or a judge decide.",
            factory="agentplat_strategy_team.vote:Vote",
            options=options.VOTE,
            step_options=options.WEIGHT,
        ),
        StrategySpec(
            name="debate",
            description="Speakers argue in rounds; the last step judges, at the end or after each round.",
            factory="agentplat_strategy_team.debate:Debate",
            options=options.DEBATE,
        ),
        StrategySpec(
            name="supervisor",
            description="The first step names, turn by turn, which of the others works next, or finishes.",
            factory="agentplat_strategy_team.supervisor:Supervisor",
            options=options.SUPERVISOR,
        ),
        StrategySpec(
            name="handoff",
            description="The step that acts names its successor, or ends the work.",
            factory="agentplat_strategy_team.handoff:Handoff",
            options=options.HANDOFF,
        ),
        StrategySpec(
            name="group_chat",
            description="All steps speak to one transcript, in turns or as one of them selects.",
            factory="agentplat_strategy_team.group_chat:GroupChat",
            options=options.GROUP_CHAT,
        ),
        StrategySpec(
            name="plan_execute",
            description="The first step plans steps, which then run; it may be asked to plan anew.",
            factory="agentplat_strategy_team.plan_execute:PlanExecute",
            options=options.PLAN_EXECUTE,
        ),
    ]
