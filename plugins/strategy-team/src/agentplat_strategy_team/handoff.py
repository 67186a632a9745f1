"""The strategy `handoff`: the agent that acts names its successor, or ends the work."""

from __future__ import annotations

from agentplat import BlockView, Decision, Fail, FailureCode, Finish, JsonValue, Settled, Start, Strategy, Way
from agentplat_strategy_team.choices import DEFAULT_TURNS, ask, known, number, text, transcript, with_fields

WINDOW = 6


class Handoff(Strategy):
    """The first step begins. A `next` in a step's output names who goes on; without it the work is done.

    When in the last `window` turns nobody but the same two acted, they play ping-pong, and the block fails.
    """

    name = "handoff"
    revision = 1

    def decide(self, block: BlockView) -> Decision:
        if not block.settled:
            return Start(block.steps[0], input=_given(block))
        last = block.settled[-1]
        choice = _choice(last, text(block, "field", "next"))
        if choice is None:
            return _end("completed_decided", block)
        turns = number(block, "max_turns", DEFAULT_TURNS, least=1)
        others = tuple(step for step in block.steps if step != last.step)
        chosen = known(choice, others)
        at_the_cap = len(block.settled) >= turns
        if chosen is None:
            again = not at_the_cap and _in_a_row(block) <= number(block, "ask_again", 0)
            return ask(last.step, choice, others or ("nobody else",), _given(block), again=again)
        if at_the_cap:
            return _end("completed_max_turns", block)
        return _ping_pong(block, chosen) or Start(chosen, input=_given(block))

    def most_executions(self, block: BlockView) -> int:
        """One for each turn."""
        return number(block, "max_turns", DEFAULT_TURNS, least=1)

    def most_of(self, step: str, block: BlockView) -> int:  # noqa: ARG002 - as the others
        """Once in each turn."""
        return number(block, "max_turns", DEFAULT_TURNS, least=1)

    def ways(self, block: BlockView) -> list[Way]:
        """From each step to each other one: whom it names."""
        first, steps = block.steps[0], block.steps
        hands = [Way(one, other, again=one != first) for one in steps for other in steps if one != other]
        return [Way(None, first), *hands, *(Way(step, None) for step in steps)]


def _choice(last: Settled, field: str) -> JsonValue:
    """Whom the step names; None when it names nobody. A text is what it has to say, and no name."""
    return last.output.get(field) if isinstance(last.output, dict) else None


def _in_a_row(block: BlockView) -> int:
    """How often the last step acted in a row, which is only to be asked again."""
    count, step = 0, block.settled[-1].step
    for execution in reversed(block.settled):
        if execution.step != step:
            break
        count += 1
    return count


def _given(block: BlockView) -> dict[str, JsonValue]:
    """What the next one gets: the input, what was done, and who handed over."""
    done = block.settled
    return with_fields(block.input, transcript=transcript(done), handed_over_by=done[-1].step if done else None)


def _ping_pong(block: BlockView, chosen: str) -> Fail | None:
    window = number(block, "window", WINDOW)
    acted = [*(execution.step for execution in block.settled), chosen][-window:] if window else []
    # A step that is asked again is not handed over to.
    hands = [step for place, step in enumerate(acted) if place == 0 or acted[place - 1] != step]
    if window < 2 or len(hands) < window or len(set(hands)) > 2:
        return None
    first, second = hands[-1], hands[-2]
    message = (
        f"{first!r} and {second!r} hand over to each other: the last {window} turns were theirs. Say in their prompts "
        "when the work is done, or raise `window` (0 switches this off)."
    )
    return Fail(message, FailureCode.INVALID_OUTPUT, {"steps": sorted({first, second}), "turns": window})


def _end(status: str, block: BlockView) -> Finish:
    last = block.settled[-1]
    return Finish(
        {"status": status, "output": last.output, "last": last.step, "turns": len(block.settled)}
        | {"transcript": transcript(block.settled)}
    )
