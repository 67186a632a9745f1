"""The strategy `supervisor`: the first step says, turn by turn, which of the others works next."""

from __future__ import annotations

from collections.abc import Mapping

from agentplat import BlockView, Decision, FailureCode, Finish, JsonValue, Start, StepError, Strategy, Way
from agentplat_strategy_team.choices import (
    DEFAULT_TURNS,
    ask,
    by_choice,
    failed,
    field_of,
    known,
    number,
    text,
    with_fields,
)

FINISH = "finish"


class Supervisor(Strategy):
    """The first step names the next worker in the field `next`, or `finish`; it is asked `max_turns` times at most.

    A worker gets the supervisor's `input` for it, if there is one, and else the block's input and what the supervisor
    said. With `on_failure: tell` the supervisor hears of a worker that failed; otherwise the block fails.
    """

    name = "supervisor"
    revision = 1
    sees_failures = True

    def decide(self, block: BlockView) -> Decision:
        supervisor, *workers = block.steps
        if not workers or FINISH in workers:
            wrong = f"one that is called {FINISH!r}" if workers else "none"
            message = f"A supervisor needs workers after its first step, and there is {wrong}."
            raise StepError(FailureCode.INVALID_INPUT, message)
        last = block.settled[-1] if block.settled else None
        if last is not None and last.status == "failed" and (last.step == supervisor or not _tells(block)):
            return failed(last)
        orders = [execution for execution in block.settled if execution.step == supervisor]
        turns = number(block, "max_turns", DEFAULT_TURNS, least=1)
        given = with_fields(
            block.input, transcript=_report(block, supervisor), workers=list(workers), turns_left=turns - len(orders)
        )
        if last is None or last.step != supervisor:
            return Start(supervisor, input=given) if len(orders) < turns else _at_the_cap(block, supervisor)
        choice = field_of(last.output, text(block, "field", "next"))
        allowed = (*workers, FINISH)
        chosen = known(choice, allowed)
        if chosen is None:
            again = len(orders) < turns and _in_vain(block, supervisor) <= number(block, "ask_again", 0)
            return ask(supervisor, choice, allowed, given, again=again)
        if chosen == FINISH:
            return _end("completed_decided", _result(last.output), block, supervisor)
        return Start(chosen, input=_order(block, last.output))

    def most_executions(self, block: BlockView) -> int:
        """A worker for each turn of the supervisor."""
        return 2 * number(block, "max_turns", DEFAULT_TURNS, least=1)

    def most_of(self, step: str, block: BlockView) -> int:  # noqa: ARG002 - as the others
        """Once in each turn."""
        return number(block, "max_turns", DEFAULT_TURNS, least=1)

    def ways(self, block: BlockView) -> list[Way]:
        return by_choice(block, block.steps[0], block.steps[1:])


def _tells(block: BlockView) -> bool:
    return text(block, "on_failure", "fail") == "tell"


def _in_vain(block: BlockView, supervisor: str) -> int:
    """How often in a row the supervisor was asked, with nothing that a worker did in between."""
    count = 0
    for execution in reversed(block.settled):
        if execution.step != supervisor:
            break
        count += 1
    return count


def _report(block: BlockView, supervisor: str) -> list[JsonValue]:
    """What the workers did, in order."""
    report: list[JsonValue] = []
    for execution in block.settled:
        if execution.step == supervisor or execution.status == "skipped":
            continue
        if execution.failure is not None:
            failure: JsonValue = {"code": str(execution.failure.code), "message": execution.failure.message}
            report.append({"step": execution.step, "failure": failure})
        else:
            report.append({"step": execution.step, "output": execution.output})
    return report


def _order(block: BlockView, said: JsonValue) -> JsonValue:
    if isinstance(said, Mapping) and said.get("input") is not None:
        return said["input"]
    return with_fields(block.input, order=said)


def _result(said: JsonValue) -> JsonValue:
    return said["output"] if isinstance(said, Mapping) and "output" in said else said


def _at_the_cap(block: BlockView, supervisor: str) -> Finish:
    worked = [one for one in block.settled if one.step != supervisor and one.status == "succeeded"]
    return _end("completed_max_turns", worked[-1].output if worked else None, block, supervisor)


def _end(status: str, output: JsonValue, block: BlockView, supervisor: str) -> Finish:
    turns = block.count(supervisor)
    return Finish({"status": status, "output": output, "turns": turns, "transcript": _report(block, supervisor)})
