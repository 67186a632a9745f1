from agentplat_testkit import StrategyContract


class TestTwoSides(StrategyContract):
    plugin, name = "strategy-two-sides", "two_sides"
