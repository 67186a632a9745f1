"""Strategies that keep or break their contract."""

from __future__ import annotations

from agentplat import BlockView, Decision, Finish, JsonValue, Start, Strategy, Wait, Way


class Good(Strategy):
    name = "good"

    def decide(self, block: BlockView) -> Decision:
        if len(block.settled) < len(block.steps):
            return Start(block.steps[len(block.settled)], input=block.input)
        return Finish(output=[execution.output for execution in block.settled])


class Eager(Strategy):
    """Two at a time, and the first one that settles ends it."""

    name = "eager"
    consult_always = True

    def decide(self, block: BlockView) -> Decision:
        if block.settled:
            return Finish(output=block.settled[0].output)
        return Wait() if block.open else Start(*block.steps[:2], input=block.input)


class Untold(Strategy):
    """Does not say how often it executes a step."""

    def most_of(self, step: str, block: BlockView) -> None:
        return None


class Endless(Untold):
    name = "endless"

    def decide(self, block: BlockView) -> Decision:
        return Start(block.steps[0])


class Forgetful(Untold):
    """Its second rule cannot end what its first one began."""

    name = "forgetful"
    revision = 2

    def decide(self, block: BlockView) -> Decision:
        return Start(block.steps[0]) if block.revision == 1 or not block.settled else Finish(output=None)


class Secretive(Strategy):
    """Says that it executes nothing, and does."""

    name = "secretive"

    def decide(self, block: BlockView) -> Decision:
        return Finish(output=None) if block.settled else Start(block.steps[0])

    def most_of(self, step: str, block: BlockView) -> int:
        return 0

    def most_executions(self, block: BlockView) -> int:
        return len(block.steps)


class Lost(Good):
    """Is drawn with a step that its block does not have."""

    name = "lost"

    def ways(self, block: BlockView) -> list[Way]:
        return [Way(None, block.steps[0]), Way(block.steps[0], "somebody_else"), Way(block.steps[-1], None)]


class Stranger(Strategy):
    name = "stranger"

    def decide(self, block: BlockView) -> Decision:
        return Start("somebody_else") if not block.settled else Finish(output=None)


class Vandal(Strategy):
    name = "vandal"

    def decide(self, block: BlockView) -> Decision:
        given: JsonValue = block.input
        if isinstance(given, dict):
            given["spoilt"] = True
        return Finish(output=None)


class Waiter(Strategy):
    name = "waiter"

    def decide(self, block: BlockView) -> Decision:
        return Wait()
