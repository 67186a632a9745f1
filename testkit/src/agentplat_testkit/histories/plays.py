"""Tasks of workflows whose strategies are real ones: their caps are held, and their steps say what they can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.interpreter import MAX_EXECUTIONS, Rules
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.strategy import BlockView, Settled, Strategy
from agentplat.domain.workflow import ITEM, SINGLE, Block, Workflow
from agentplat.language.expressions import ExpressionEngine
from agentplat_testkit.histories.samples import Sample
from agentplat_testkit.simulation.entries import BlockEntry, StepEntry, law
from agentplat_testkit.simulation.laws import LawBook
from agentplat_testkit.simulation.world import REAL, Core, Simulation


class PlainRules:
    """Real expressions, the given strategies, and steps of agents as the only plans."""

    def __init__(self, strategies: Mapping[str, Strategy]) -> None:
        self.strategies = strategies
        self.expressions = ExpressionEngine()

    def evaluate(self, template: JsonValue, scope: Mapping[str, JsonValue]) -> JsonValue:
        return self.expressions.render(template, scope)

    def truth(self, expression: str, scope: Mapping[str, JsonValue]) -> bool:
        return self.expressions.truth(expression, scope)

    def strategy(self, name: str) -> Strategy:
        return self.strategies[name]

    def check(self, name: str, output: JsonValue, options: Mapping[str, JsonValue]) -> bool:  # noqa: ARG002 - has none
        """There are no checks here."""
        return False

    def validate_steps(self, steps: JsonValue, block: Block) -> Sequence[JsonObject]:
        """The steps in normal form, if they are agents with names of their own and known needs."""
        planned: list[JsonObject] = []
        names = list(block.names)
        for step in steps if isinstance(steps, list | tuple) else ():
            name = step.get("name") if isinstance(step, Mapping) else None
            needs = step.get("needs", []) if isinstance(step, Mapping) else None
            if (
                not isinstance(name, str)
                or name in names
                or not isinstance(needs, list)
                or not isinstance(step, Mapping)
            ):
                raise StepError(FailureCode.INVALID_OUTPUT, f"{step!r} is no step", retryable=False)
            names.append(name)
            planned.append({**_NORMAL, "name": name, "agent": str(step.get("agent", "writer")), "needs": needs})
        unknown = [need for step in planned for need in _texts(step["needs"]) if need not in names]
        if unknown or not planned:
            raise StepError(FailureCode.INVALID_OUTPUT, f"the plan needs {unknown or 'steps'}", retryable=False)
        return planned


_NORMAL: JsonObject = {
    "timeout": 60,
    "retry": {"max_attempts": 2, "backoff": "linear", "initial": 1, "max": 1, "on": ["retryable"]},
}


def _texts(value: JsonValue) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


class StrategyLaws(LawBook):
    """The laws, and that a block has no more executions than its strategy says itself."""

    def most_children(self, block: Block) -> int:
        if block.foreach is not None:
            return super().most_children(block)
        if block.strategy == SINGLE:
            return 1
        strategy = self.rules.strategy(block.strategy)
        most = strategy.most_executions(view_of(block, strategy.revision))
        return MAX_EXECUTIONS if most is None else min(most, MAX_EXECUTIONS)

    def check_output(self, block: BlockEntry) -> None:
        law(len(block.children) <= self.most_children(block.block), "a strategy keeps to its own cap")


class StrategyPlay(Simulation):
    """A task whose bodies say what the samples of the strategies around them say."""

    def __init__(
        self,
        workflow: Workflow,
        tape: bytes = b"",
        *,
        rules: Rules,
        core: Core = REAL,
        storms: bytes = b"",
        laws: type[LawBook] = StrategyLaws,
        samples: Mapping[str, Sample] | None = None,
    ) -> None:
        super().__init__(workflow, tape, rules=rules, core=core, storms=storms, laws=laws)
        self.samples = samples or {}

    def output_of(self, entry: StepEntry, draw: int) -> JsonValue:
        path = entry.path if entry.path.step != ITEM else entry.path.parent
        around = self.laws.blocks[path.parent]
        sample = self.samples.get(around.block.strategy)
        if sample is None:
            return super().output_of(entry, draw)
        revision = self.laws.rules.strategy(around.block.strategy).revision
        return sample.output_of(path.step, view_of(around.block, revision, around), self.tape)


def view_of(block: Block, revision: int, entry: BlockEntry | None = None) -> BlockView:
    """What can be said of a block without the state: its steps and options, and how often which step has settled."""
    paths = entry.settled if entry is not None else ()
    settled = tuple(Settled(step=path.step, number=path.number, status="succeeded") for path in paths)
    return BlockView(
        steps=block.names,
        input=None,
        settled=settled,
        max_iterations=block.max_iterations,
        options=block.options,
        needs=block.needed,
        step_options=block.told,
        revision=revision,
    )
