"""The installation that the compiler's tests are made for. Knows nothing of pytest: other processes use it, too."""

from __future__ import annotations

from dataclasses import dataclass

from agentplat.contracts.specs import StrategySpec

FREE = ("iterative_refinement", "sequential")
STRICT = StrategySpec(
    name="strict",
    description="One that says what it takes",
    factory="nowhere:None",
    options={
        "type": "object",
        "properties": {
            "join": {"enum": ["all", "any"]},
            "most": {"type": "integer", "minimum": 1},
            "judge": {"type": "string"},
        },
        "required": ["join"],
    },
    expressions=("judge",),
    step_options={"type": "object", "properties": {"on": {"type": "string"}, "weight": {"type": "number"}}},
)
STRATEGIES = {
    "strict": STRICT,
    **{name: StrategySpec(name=name, description=name, factory="nowhere:None") for name in FREE},
}


@dataclass(frozen=True)
class Installed:
    """A small installation."""

    def agents(self) -> list[str]:
        return ["assessment", "research", "writer"]

    def tools(self) -> list[str]:
        return ["calculator", "http_request"]

    def workflows(self) -> list[str]:
        return ["invoice", "summarise"]

    def strategies(self) -> list[str]:
        return sorted(STRATEGIES)

    def strategy(self, name: str) -> StrategySpec | None:
        return STRATEGIES.get(name)

    def checks(self) -> list[str]:
        return ["assessment_approved", "quality_threshold"]
