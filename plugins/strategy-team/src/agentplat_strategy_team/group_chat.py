"""The strategy `group_chat`: all steps speak to one transcript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentplat import BlockView, Decision, FailureCode, Finish, JsonValue, Settled, Start, StepError, Strategy, Way
from agentplat_strategy_team.choices import (
    DEFAULT_TURNS,
    ask,
    by_choice,
    field_of,
    known,
    number,
    text,
    transcript,
    with_fields,
)

FINISH = "finish"


class GroupChat(Strategy):
    """Speakers take turns, in the order of the document, or with `order: selected` as the last step says.

    The chat ends when what was said last satisfies the block's `until` or check, when the selecting step chooses
    `finish`, or after `max_turns` of the speakers.
    """

    name = "group_chat"
    revision = 1

    def decide(self, block: BlockView) -> Decision:
        selected = text(block, "order", "round_robin") == "selected"
        speakers = block.steps[:-1] if selected else block.steps
        if not speakers or (selected and FINISH in speakers):
            wrong = (
                f"a speaker may not be called {FINISH!r}" if speakers else "speakers stand before the selecting step"
            )
            raise StepError(FailureCode.INVALID_INPUT, f"In a group chat with `order: selected`, {wrong}.")
        said = [execution for execution in block.settled if execution.step in speakers]
        heard = [execution for execution in said if execution.status == "succeeded"]
        spoke_last = bool(block.settled) and block.settled[-1].step in speakers
        if spoke_last and heard and said[-1].status == "succeeded" and block.converged(said[-1].output):
            return _end("completed_converged", said)
        turns = number(block, "max_turns", DEFAULT_TURNS, least=1)
        if len(said) >= turns:
            return _end("completed_max_turns", said)
        given = with_fields(
            block.input, transcript=transcript(said), speakers=list(speakers), turns_left=turns - len(said)
        )
        if not selected:
            return Start(speakers[len(said) % len(speakers)], input=given)
        return _select(block, speakers, said, given)

    def most_executions(self, block: BlockView) -> int:
        """One for each turn; when speakers are selected, also a selection for each, and one more to be asked again."""
        turns = number(block, "max_turns", DEFAULT_TURNS, least=1)
        if text(block, "order", "round_robin") != "selected":
            return turns
        return turns * (2 + number(block, "ask_again", 0))

    def most_of(self, step: str, block: BlockView) -> int:
        """A speaker at most once in each turn; whoever selects as often as it may be asked."""
        turns = number(block, "max_turns", DEFAULT_TURNS, least=1)
        is_selecting = text(block, "order", "round_robin") == "selected" and step == block.steps[-1]
        return turns * (1 + number(block, "ask_again", 0)) if is_selecting else turns

    def ways(self, block: BlockView) -> list[Way]:
        *speakers, last = block.steps
        if text(block, "order", "round_robin") == "selected":
            return by_choice(block, last, speakers)
        turns = f"again, at most {number(block, 'max_turns', DEFAULT_TURNS, least=1)} turns"
        around = [Way(before, after) for before, after in zip((None, *speakers), block.steps, strict=True)]
        return [*around, Way(last, block.steps[0], turns, again=True), *(Way(step, None) for step in block.steps)]


def _select(
    block: BlockView, speakers: Sequence[str], said: Sequence[Settled], given: dict[str, JsonValue]
) -> Decision:
    selecting = block.steps[-1]
    if not block.settled or block.settled[-1].step != selecting:
        return Start(selecting, input=given)
    choice = field_of(block.settled[-1].output, text(block, "field", "next"))
    allowed = (*speakers, FINISH)
    chosen = known(choice, allowed)
    if chosen is None:
        asked = len(block.settled) - max(
            (place + 1 for place, execution in enumerate(block.settled) if execution.step != selecting), default=0
        )
        return ask(selecting, choice, allowed, given, again=asked <= number(block, "ask_again", 0))
    if chosen == FINISH:
        return _end("completed_decided", said)
    return Start(chosen, input=given)


def _end(status: str, said: Sequence[Settled]) -> Finish:
    heard: Mapping[str, JsonValue] | JsonValue = said[-1].output if said else None
    return Finish({"status": status, "output": heard, "turns": len(said), "transcript": transcript(said)})
