"""What agents are told besides the block's input, and how a choice that one makes is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentplat import BlockView, Decision, Fail, Failure, FailureCode, JsonValue, Settled, Start, Way

DEFAULT_TURNS = 10


def with_fields(given: JsonValue, **fields: JsonValue) -> dict[str, JsonValue]:
    """The block's input with more fields; an input that is no object is its field `input`."""
    own = given if isinstance(given, Mapping) else {} if given is None else {"input": given}
    return {**own, **fields}


def field_of(output: JsonValue, field: str) -> JsonValue:
    """The field of an output; a text, and the `result` of an agent that gives only a text, stand for themselves."""
    if isinstance(output, Mapping):
        return output.get(field, output.get("result"))
    return output


def number(block: BlockView, option: str, default: int, least: int = 0) -> int:
    """A whole number among the options."""
    value = block.options.get(option, default)
    return max(least, value) if isinstance(value, int) and not isinstance(value, bool) else default


def text(block: BlockView, option: str, default: str) -> str:
    """A text among the options."""
    value = block.options.get(option, default)
    return value if isinstance(value, str) else default


def known(choice: JsonValue, allowed: Sequence[str]) -> str | None:
    """The allowed name that was chosen; models are free with capitals. None when it is none of them."""
    if not isinstance(choice, str):
        return None
    said = choice.strip()
    if said in allowed:
        return said
    alike = [name for name in allowed if name.casefold() == said.casefold()]
    return alike[0] if len(alike) == 1 else None


def unreadable(step: str, choice: JsonValue, allowed: Sequence[str]) -> Fail:
    """The failure of a block of which `step` chose what is not there."""
    message = (
        f"{step!r} chose {_shortened(choice)}, which is none of {', '.join(allowed)}. Say it in the step's prompt, "
        "let it be asked again with `ask_again`, or name the field of its output that has the choice with `field`."
    )
    return Fail(message, FailureCode.INVALID_OUTPUT, {"step": step, "allowed": list(allowed), "got": choice})


def problem(choice: JsonValue, allowed: Sequence[str]) -> str:
    """What an agent is told whose choice could not be read."""
    return f"Your choice {_shortened(choice)} is none of {', '.join(allowed)}."


def ask(step: str, choice: JsonValue, allowed: Sequence[str], given: dict[str, JsonValue], *, again: bool) -> Decision:
    """Ask once more, with what was wrong; or the failure, if that may not be."""
    if not again:
        return unreadable(step, choice, allowed)
    return Start(step, input={**given, "problem": problem(choice, allowed), "allowed": list(allowed)})


def by_choice(block: BlockView, choosing: str, others: Sequence[str]) -> list[Way]:
    """The ways of a block in which one step says, turn by turn, which of the others goes on, or ends it."""
    turns = number(block, "max_turns", DEFAULT_TURNS, least=1)
    chosen = [way for step in others for way in (Way(choosing, step), Way(step, choosing, again=True))]
    return [Way(None, choosing), *chosen, Way(choosing, None, f"finish, or after {turns} turns")]


def failed(execution: Settled, before: str = "") -> Fail:
    """The block fails as this step did. `before` is said first."""
    failure = execution.failure or Failure(code=FailureCode.AGENT_FAILED, message="It failed.")
    return Fail(before + failure.message, failure.code, {**failure.details, "step": execution.step})


def transcript(executions: Sequence[Settled]) -> list[JsonValue]:
    """Who said what, in order. A skipped step said nothing."""
    return [
        {"step": execution.step, "output": execution.output}
        for execution in executions
        if execution.status == "succeeded"
    ]


def _shortened(choice: JsonValue, most: int = 100) -> str:
    said = repr(choice)
    return said if len(said) <= most else f"{said[:most]}..."
