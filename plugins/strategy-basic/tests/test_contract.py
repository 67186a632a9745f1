"""What every strategy has to keep to."""

from __future__ import annotations

from agentplat_testkit import StrategyContract


class TestSequential(StrategyContract):
    plugin, name = "strategy-basic", "sequential"


class TestIterativeRefinement(StrategyContract):
    plugin, name = "strategy-basic", "iterative_refinement"
