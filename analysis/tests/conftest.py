from __future__ import annotations

from dataclasses import dataclass

import pytest

from agentplat.contracts.specs import StrategySpec
from agentplat.domain.workflow import Workflow
from agentplat.language.compiler import compile_document
from agentplat.language.yaml import load


@dataclass(frozen=True)
class Anything:
    """An installation that has these agents and tools, and all strategies of these names."""

    def agents(self) -> list[str]:
        return ["assessment", "research", "writer"]

    def tools(self) -> list[str]:
        return ["calculator", "http_request"]

    def workflows(self) -> list[str]:
        return ["invoice", "summarise"]

    def strategies(self) -> list[str]:
        return ["dag", "debate", "iterative_refinement", "parallel", "plans", "sequential", "turns"]

    def strategy(self, name: str) -> StrategySpec | None:
        return StrategySpec(name=name, description=name, factory="nowhere:None")

    def checks(self) -> list[str]:
        return ["assessment_approved"]


@dataclass(frozen=True)
class Compiler:
    def compile(self, text: str) -> Workflow:
        return compile_document(load(text, "w.yaml"), Anything())


@pytest.fixture
def compiler() -> Compiler:
    return Compiler()
