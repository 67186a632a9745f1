"""The strategy `vote`: several answers, and a rule that decides between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentplat import (
    BlockView,
    Decision,
    Fail,
    FailureCode,
    Finish,
    JsonValue,
    Settled,
    Start,
    StepError,
    Strategy,
    Wait,
    Way,
)
from agentplat_strategy_team.ballots import Count, key_of
from agentplat_strategy_team.choices import failed, field_of, number, text, with_fields


class Vote(Strategy):
    """Each step answers `samples` times, all at once; an answer with more than half of the votes wins.

    With the rule `weighted` a step's vote counts as much as its `weight` says; with `judge` the last step is shown the
    answers and decides. A vote that cannot be lost any more ends what is under way. A voter that fails is borne as
    long as `quorum` votes can be cast.
    """

    name = "vote"
    revision = 1
    consult_always = True
    sees_failures = True

    def decide(self, block: BlockView) -> Decision:
        rule = text(block, "rule", "majority")
        voters = block.steps[:-1] if rule == "judge" else block.steps
        if not voters:
            raise StepError(FailureCode.INVALID_INPUT, "A vote with a judge needs a voter before its last step.")
        samples = number(block, "samples", 1, least=1)
        votes = [execution for execution in block.settled if execution.step in voters]
        over = _outcome(block, voters, votes, samples, by_count=rule != "judge")
        if over is not None:
            return over
        missing = [step for step in voters for _ in range(samples - block.count(step) - block.open.count(step))]
        if missing:
            return Start(*missing, input=block.input)
        if block.open:
            return Wait()
        return _judged(block, voters) if rule == "judge" else _undecided(block, voters, votes)

    def most_of(self, step: str, block: BlockView) -> int:
        """Each step as often as there are samples; the judge once."""
        is_judge = text(block, "rule", "majority") == "judge" and step == block.steps[-1]
        return 1 if is_judge else number(block, "samples", 1, least=1)

    def ways(self, block: BlockView) -> list[Way]:
        rule, samples = text(block, "rule", "majority"), number(block, "samples", 1, least=1)
        voters, judge = (block.steps[:-1], block.steps[-1]) if rule == "judge" else (block.steps, None)
        decides = "" if judge is not None else "most of the weight" if rule == "weighted" else "more than half"
        asked = [Way(None, step, f"{samples} times" if samples > 1 else "") for step in voters]
        votes = [Way(step, judge, decides) for step in voters]
        return [*asked, *votes, *([Way(judge, None)] if judge is not None else [])]


def _outcome(
    block: BlockView, voters: Sequence[str], votes: Sequence[Settled], samples: int, *, by_count: bool
) -> Finish | Fail | None:
    """How the vote ends; None while that is open. What was first stays: late votes and failures change nothing."""
    expected = samples * len(voters)
    broken = _broken_at(block, votes, expected)
    counted = votes if broken is None else votes[:broken]
    if by_count:
        total = sum(samples * _weight(block, step) for step in voters)
        outstanding = total - sum(_weight(block, vote.step) for vote in counted)
        count = _count(block, counted)
        if count.best is not None and count.of(count.best) * 2 > count.cast + outstanding:
            return Finish(count.result(count.best))
    return None if broken is None else _broken(votes, votes[broken], expected)


def _broken_at(block: BlockView, votes: Sequence[Settled], expected: int) -> int | None:
    """The place of the failure after which there cannot be enough votes; None when there is none."""
    able = expected - sum(1 for vote in votes if vote.status == "skipped")
    bearable = able - min(number(block, "quorum", expected, least=1), able)
    failures = [place for place, vote in enumerate(votes) if vote.status == "failed"]
    return failures[bearable] if len(failures) > bearable else None


def _broken(votes: Sequence[Settled], last: Settled, expected: int) -> Fail:
    failures = [vote for vote in votes if vote.status == "failed"]
    message = f"{len(failures)} of {expected} voters failed, and too few votes are left (see `quorum`). {last.step!r}: "
    return failed(last, message)


def _undecided(block: BlockView, voters: Sequence[str], votes: Sequence[Settled]) -> Decision:
    count = _count(block, votes)
    if count.best is None:
        voted = "all of them were skipped" if votes else "there is none"
        return Fail(f"Nobody voted: of the steps {', '.join(voters)}, {voted}.", FailureCode.INVALID_OUTPUT)
    if text(block, "otherwise", "fail") == "most":
        return Finish(count.result(count.best))
    message = (
        f"No answer has more than half of the votes; the best one has {count.of(count.best):g} of {count.cast:g}. "
        "Ask more voters, or say `otherwise: most`."
    )
    return Fail(message, FailureCode.INVALID_OUTPUT, {"answers": count.answers})


def _judged(block: BlockView, voters: Sequence[str]) -> Decision:
    judge = block.steps[-1]
    verdict = next((execution for execution in block.settled if execution.step == judge), None)
    if verdict is None:
        answers: list[JsonValue] = [
            {"step": execution.step, "number": execution.number, "output": execution.output}
            for execution in sorted(block.settled, key=lambda one: (voters.index(one.step), one.number))
            if execution.status == "succeeded"
        ]
        return Start(judge, input=with_fields(block.input, answers=answers))
    return failed(verdict) if verdict.status == "failed" else Finish(verdict.output)


def _count(block: BlockView, votes: Sequence[Settled]) -> Count:
    """The votes that were cast, counted in the order of the document, so that who is faster does not matter."""
    count = Count()
    field = block.options.get("field")
    ordered = sorted(votes, key=lambda vote: (block.steps.index(vote.step), vote.number))
    for vote in ordered:
        if vote.status == "succeeded":
            answer = vote.output if field is None else field_of(vote.output, str(field))
            count.add(key_of(answer), answer, _weight(block, vote.step))
    return count


def _weight(block: BlockView, step: str) -> float:
    if text(block, "rule", "majority") != "weighted":
        return 1
    options: Mapping[str, JsonValue] = block.step_options.get(step, {})
    weight = options.get("weight", 1)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
        message = f"The `weight` of {step!r} is {weight!r}; it has to be a number from 0."
        raise StepError(FailureCode.INVALID_INPUT, message)
    return weight
