"""The strategy `two_sides`."""

from agentplat import BlockView, Decision, Finish, Start, Strategy


class TwoSides(Strategy):
    """Steps argue in turns, for `max_iterations` rounds; the last step hears all of it and judges."""

    name = "two_sides"
    revision = 1

    def decide(self, block: BlockView) -> Decision:
        *speakers, judge = block.steps
        said = block.settled
        if said and said[-1].step == judge:
            return Finish(output=said[-1].output)
        is_over = len(said) >= block.max_iterations * len(speakers)
        step = judge if is_over else speakers[len(said) % len(speakers)]
        return Start(step, input={"transcript": [execution.output for execution in said]})
