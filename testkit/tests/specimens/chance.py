"""A strategy that draws lots."""

from __future__ import annotations

import random

from agentplat import BlockView, Decision, Finish, Strategy


class Fickle(Strategy):
    name = "fickle"

    def decide(self, block: BlockView) -> Decision:
        return Finish(output=random.random())
