"""The strategy `bench_fan_out`: one step many times at once, and a join."""

from __future__ import annotations

from collections.abc import Mapping

from agentplat import BlockView, Decision, Finish, Start, Strategy


class FanOut(Strategy):
    """Starts its only step as often as the input's `n` says, and adds up the `v` of what they give."""

    name = "bench_fan_out"
    revision = 1

    def decide(self, block: BlockView) -> Decision:
        if not block.settled:
            wanted = block.input["n"] if isinstance(block.input, Mapping) else None
            count = wanted if isinstance(wanted, int) else 1
            return Start(*block.steps * count, input={"v": 0})
        outputs = [settled.output for settled in block.settled]
        values = [output["v"] for output in outputs if isinstance(output, Mapping)]
        return Finish(output={"total": sum(value for value in values if isinstance(value, int))})
