"""When enough of several steps is done: the rule behind the option `join`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentplat import BlockView, Fail, Failure, FailureCode, JsonValue, Settled, StepError


@dataclass(frozen=True, slots=True)
class Join:
    kind: str  # all, any, settled, n_of, or some: all have ended and one of them succeeded
    least: int = 1  # successes, for `n_of`

    @property
    def bears_failures(self) -> bool:
        """Whether it may be met although a step has failed."""
        return self.kind in ("any", "settled", "n_of")

    def needed(self, steps: int, skipped: int) -> int:
        """How many successes it takes, of so many steps of which so many were skipped."""
        if self.kind == "all":
            return steps - skipped
        if self.kind == "n_of":
            return self.least
        return 0 if self.kind == "settled" or skipped == steps else 1


def read_join(said: JsonValue, steps: int, default: str = "all", *, option: str = "join") -> Join:
    """The join that an option says. Raises StepError when it is none, or wants more steps than there are."""
    if said is None:
        return Join(default)
    if isinstance(said, str) and said in ("all", "any", "settled"):
        return Join(said)
    least = said.get("n_of") if isinstance(said, Mapping) and len(said) == 1 else None
    if not isinstance(least, int) or isinstance(least, bool) or least < 1:
        message = f"`{option}` is {said!r}; it has to be all, any, settled or {{n_of: 2}}, with a number from 1."
        raise StepError(FailureCode.INVALID_INPUT, message)
    if least > steps:
        message = f"`{option}` waits for {least} steps, and there are only {steps}; lower `n_of` or add steps."
        raise StepError(FailureCode.INVALID_INPUT, message)
    return Join("n_of", least)


def outputs_in_order(block: BlockView, among: Iterable[Settled]) -> dict[str, JsonValue]:
    """What the steps gave that succeeded, by name, in the order of the document."""
    given = {execution.step: execution.output for execution in among if execution.status == "succeeded"}
    return {step: given[step] for step in block.steps if step in given}


def failed(execution: Settled, before: str = "") -> Fail:
    """The block fails as this step did. `before` is said first."""
    failure = execution.failure or Failure(code=FailureCode.AGENT_FAILED, message="It failed.")
    return Fail(before + failure.message, failure.code, {**failure.details, "step": execution.step})
