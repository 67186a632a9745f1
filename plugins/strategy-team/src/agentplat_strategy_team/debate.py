"""The strategy `debate`: speakers in rounds, and a judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentplat import BlockView, Decision, FailureCode, Finish, JsonValue, Settled, Start, StepError, Strategy, Way
from agentplat_strategy_team.choices import number, text, with_fields

DEFAULT_ROUNDS = 2


class Debate(Strategy):
    """All steps but the last speak in turns, each knowing what was said; the last step is the judge.

    The judge is asked after the last round, or with `judge: each_round` after each of them: the debate ends early when
    its output satisfies the block's `until` or check, or has `decided: true`.
    """

    name = "debate"
    revision = 1

    def decide(self, block: BlockView) -> Decision:
        *speakers, judge = block.steps
        if not speakers:
            raise StepError(FailureCode.INVALID_INPUT, f"A debate needs speakers before its judge {judge!r}.")
        rounds = number(block, "rounds", DEFAULT_ROUNDS, least=1)
        spoken = [execution for execution in block.settled if execution.step != judge]
        verdicts = [execution for execution in block.settled if execution.step == judge]
        finished, place = divmod(len(spoken), len(speakers))
        if verdicts and finished == _round_of(verdicts, rounds, block):
            early = _is_decided(block, verdicts[-1].output)
            if early or finished >= rounds:
                return _end(verdicts[-1].output, speakers, spoken, early=early)
        elif place == 0 and finished and (finished >= rounds or _each_round(block)):
            said = _said(speakers, spoken)
            return Start(
                judge, input=with_fields(block.input, transcript=said, round=finished, last=finished >= rounds)
            )
        given = with_fields(block.input, transcript=_said(speakers, spoken), round=finished + 1, rounds=rounds)
        return Start(speakers[place], input=given)

    def most_of(self, step: str, block: BlockView) -> int:  # noqa: ARG002 - as the others
        """Each step once in each round."""
        return number(block, "rounds", DEFAULT_ROUNDS, least=1)

    def ways(self, block: BlockView) -> list[Way]:
        """One speaker after another, then the judge; the next round begins after whoever ends one."""
        rounds = number(block, "rounds", DEFAULT_ROUNDS, least=1)
        turns = [Way(before, after) for before, after in zip((None, *block.steps), (*block.steps, None), strict=True)]
        last = block.steps[-1] if _each_round(block) else block.steps[-2]
        return turns if rounds == 1 else [*turns, Way(last, block.steps[0], f"at most {rounds} rounds", again=True)]


def _each_round(block: BlockView) -> bool:
    return text(block, "judge", "end") == "each_round"


def _round_of(verdicts: Sequence[Settled], rounds: int, block: BlockView) -> int:
    """After which round the latest verdict was given."""
    return len(verdicts) if _each_round(block) else rounds


def _is_decided(block: BlockView, verdict: JsonValue) -> bool:
    said = isinstance(verdict, Mapping) and verdict.get("decided") is True
    return said or block.converged(verdict)


def _said(speakers: Sequence[str], spoken: Sequence[Settled]) -> list[JsonValue]:
    """Who said what, in which round. A skipped speaker said nothing."""
    return [
        {"step": execution.step, "round": place // len(speakers) + 1, "output": execution.output}
        for place, execution in enumerate(spoken)
        if execution.status == "succeeded"
    ]


def _end(verdict: JsonValue, speakers: Sequence[str], spoken: Sequence[Settled], *, early: bool) -> Finish:
    return Finish(
        {
            "status": "completed_decided" if early else "completed_max_rounds",
            "verdict": verdict,
            "rounds": len(spoken) // len(speakers),
            "transcript": _said(speakers, spoken),
        }
    )
