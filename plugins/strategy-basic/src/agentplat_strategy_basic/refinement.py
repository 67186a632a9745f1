"""The strategy `iterative_refinement`: the steps in order, again with feedback, until the last one is satisfied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentplat import BlockView, Decision, Finish, JsonValue, Start, Strategy, Way
from agentplat_strategy_basic.sequential import in_order, input_for_next, outputs_of, topic_of


class IterativeRefinement(Strategy):
    """Ends when the convergence check holds for an iteration's last output, or after `max_iterations`; it says which.

    Within an iteration steps hand over as in `sequential`. From the second iteration on the first step's input has
    `previous_feedback`.
    """

    name = "iterative_refinement"
    revision = 1

    def decide(self, block: BlockView) -> Decision:
        size = len(block.steps)
        finished, position = divmod(len(block.settled), size)
        if position:
            outputs = outputs_of(block.settled[finished * size :])
        else:
            outputs = []
            last = outputs_of(block.settled[-size:])
            converged = bool(last) and block.converged(last[-1])
            if finished and (converged or finished >= block.max_iterations):
                return Finish(output=_summary(last, finished, converged=converged))
        before = outputs_of(block.settled[(finished - 1) * size : finished * size]) if finished else []
        first = _with_feedback(block.input, before[-1]) if before else block.input
        return Start(block.steps[position], input=input_for_next(first, outputs, topic_of(block.input)))

    def ways(self, block: BlockView) -> list[Way]:
        once = in_order(block.steps)
        if block.max_iterations == 1:
            return once
        return [*once, Way(block.steps[-1], block.steps[0], f"again, at most {block.max_iterations} times", again=True)]


def _summary(outputs: Sequence[JsonValue], iterations: int, *, converged: bool) -> JsonValue:
    return {
        "status": "completed_converged" if converged else "completed_max_iterations",
        "research_findings": outputs[0] if outputs else None,
        "final_assessment": outputs[-1] if outputs else None,
        "iterations": iterations,
    }


def _with_feedback(given: JsonValue, last: JsonValue) -> JsonValue:
    """The block's input and what the last step of the previous iteration said: its feedback, else all of it."""
    feedback = last.get("feedback") if isinstance(last, Mapping) else None
    fields = given if isinstance(given, Mapping) else {} if given is None else {"input": given}
    return {**fields, "previous_feedback": feedback if isinstance(feedback, str) else last}
