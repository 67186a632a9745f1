"""A block whose steps say what a test wants them to say: for tests of what a strategy is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from agentplat.domain.failure import Failure
from agentplat.domain.json import JsonValue
from agentplat.domain.strategy import BlockView, Decision, Expand, Fail, Finish, Settled, Start, Strategy, Wait
from agentplat_testkit.simulation.blocks import decided
from agentplat_testkit.simulation.entries import law


class Skipped:
    """In place of an output: the step's condition is false."""


SKIPPED: Final = Skipped()
Outcome: TypeAlias = "JsonValue | Failure | Skipped"


class ScriptedBlock:
    """Plays a block to its end. Of the steps under way the one settles that started first.

    `outputs` has the outcomes of each step in turn: an output, a Failure or SKIPPED; one for which there is none stays
    under way. `started` has what was started, with its input; `ended` how the block ended; `cancelled` what was under
    way then.
    """

    def __init__(self, strategy: Strategy, outputs: Mapping[str, Sequence[Outcome]], **view: Any) -> None:
        self.strategy = strategy
        self.outcomes = {step: list(outcomes) for step, outcomes in outputs.items()}
        self.view = BlockView(
            **{"steps": tuple(outputs), "input": None, "settled": (), "revision": strategy.revision, **view}
        )
        self.started: list[tuple[str, JsonValue]] = []
        self.cancelled: list[str] = []
        self.plans: list[JsonValue] = []
        self.ended = self._play()

    @property
    def names(self) -> list[str]:
        """The steps that were started, in order."""
        return [step for step, _ in self.started]

    @property
    def output(self) -> Any:
        """What the block gave. AssertionError when it failed."""
        assert isinstance(self.ended, Finish), self.ended
        return self.ended.output

    @property
    def failure(self) -> Failure:
        """Why the block failed. AssertionError when it did not."""
        assert isinstance(self.ended, Fail), self.ended
        return self.ended.failure

    def input_of(self, step: str, number: int = 1) -> Any:
        """What an execution of a step was started with."""
        return [given for name, given in self.started if name == step][number - 1]

    def _play(self) -> Decision:
        numbers: dict[str, int] = {}
        open_: list[tuple[str, int]] = []
        waits = False
        while True:
            if waits or (open_ and not (self.strategy.consult_always and self.view.settled)):
                self._settle(open_)
                waits = False
                continue
            self.view = replace(self.view, open=tuple(step for step, _ in open_))
            decision = decided(self.strategy, self.view)
            match decision:
                case Finish() | Fail():
                    self.cancelled = [step for step, _ in open_]
                    return decision
                case Start():
                    for step in decision.steps:
                        numbers[step] = numbers.get(step, 0) + 1
                        self.started.append((step, decision.input))
                        open_.append((step, numbers[step]))
                case Expand():
                    self._expand(decision)
                case Wait():
                    law(open_, f"{self.strategy.name!r} waits, and nothing is under way")
                    waits = True

    def _settle(self, open_: list[tuple[str, int]]) -> None:
        place = next((place for place, (step, _) in enumerate(open_) if self.outcomes.get(step)), None)
        assert place is not None, f"the script has no outcome for {[step for step, _ in open_]}"
        step, number = open_.pop(place)
        outcome = self.outcomes[step].pop(0)
        match outcome:
            case Failure():
                law(self.strategy.sees_failures, f"{self.strategy.name!r} does not want to hear of failures")
                settled = Settled(step=step, number=number, status="failed", failure=outcome)
            case Skipped():
                settled = Settled(step=step, number=number, status="skipped")
            case _:
                settled = Settled(step=step, number=number, status="succeeded", output=outcome)
        self.view = replace(self.view, settled=(*self.view.settled, settled))

    def _expand(self, decision: Expand) -> None:
        self.plans.append(decision.steps)
        assert isinstance(decision.steps, list), decision
        names = tuple(str(step["name"]) for step in decision.steps if isinstance(step, Mapping))
        needs = {
            str(step["name"]): tuple(step["needs"])
            for step in decision.steps
            if isinstance(step, Mapping) and isinstance(step.get("needs"), list)
        }
        view = self.view
        self.view = replace(
            view, steps=(*view.steps, *names), planned=(*view.planned, *names), needs={**view.needs, **needs}
        )
