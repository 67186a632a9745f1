"""The contract of coordination strategies: pure, repeatable, and coming to an end."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agentplat.domain.errors import StepError
from agentplat.domain.json import JsonValue
from agentplat.domain.strategy import BlockView, Decision, Strategy
from agentplat_testkit.contracts.plugins import PluginContract, imported_by
from agentplat_testkit.histories.samples import Sample
from agentplat_testkit.histories.search import Search
from agentplat_testkit.simulation.blocks import BlockPlay
from agentplat_testkit.simulation.tape import Tape

IMPURE = frozenset(
    {
        *("asyncio", "concurrent", "multiprocessing", "queue", "select", "selectors", "signal", "threading"),
        *("datetime", "time", "random", "secrets", "uuid"),
        *("ctypes", "glob", "io", "os", "pathlib", "platform", "shutil", "sqlite3", "subprocess", "tempfile"),
        *("http", "logging", "socket", "ssl", "urllib"),
    }
)
"""Modules by which a clock, chance or the outside would come in."""

OUTPUTS: tuple[JsonValue, ...] = (
    {"approved": False},
    {"approved": True},
    "text",
    None,
    3,
    0.5,
    [],
    [1, {"a": None}],
    {"approved": False, "feedback": "more", "quality_score": 0.25},
    {"result": "text"},
)
INPUTS: tuple[JsonValue, ...] = ({"topic": "bees"}, None, {}, "text", [1])


class StrategyContract(PluginContract):
    """Plays the strategy through random blocks. Say `min_steps` and `block_options` where it needs them.

    `variants` are options to draw from, `step_variants` those of single steps; with `has_needs` steps need others.
    Override `output_of` where the strategy reads what steps say.
    """

    offers: ClassVar[str] = "strategies"
    min_steps: ClassVar[int] = 1
    block_options: ClassVar[Mapping[str, JsonValue]] = {}
    variants: ClassVar[Sequence[Mapping[str, JsonValue]]] = ({},)
    step_variants: ClassVar[Sequence[Mapping[str, JsonValue]]] = ({},)
    has_needs: ClassVar[bool] = False
    histories: ClassVar[int] = 100  # of whole tasks

    def most_executions(self, steps: int, max_iterations: int) -> int:
        """How many executions a block may need before its strategy has to end it, if it does not say so itself."""
        return steps * max_iterations + steps

    def output_of(self, step: str, view: BlockView, tape: Tape) -> JsonValue:  # noqa: ARG002 - for those who override
        """What a step says that succeeds."""
        return tape.pick(OUTPUTS)

    def made(self) -> Strategy:
        return self.registries().strategy(self.name)

    def test_it_says_its_name_and_revision(self) -> None:
        strategy = self.made()
        assert strategy.name == self.name
        assert isinstance(strategy.revision, int)
        assert strategy.revision >= 1

    def test_it_imports_nothing_but_agentplat_and_what_is_pure_of_the_standard_library(self) -> None:
        module = self.spec().factory.partition(":")[0]
        own = module.partition(".")[0]
        known = sys.stdlib_module_names | {"agentplat", own}
        imported = imported_by(module)
        foreign = sorted({name.partition(".")[0] for name in imported} - known)
        assert not foreign, f"{module} imports {', '.join(foreign)}"
        for name in imported:
            if name.partition(".")[0] == own:
                impure = sorted(_imports_of(name) & IMPURE)
                assert not impure, f"{name} imports {', '.join(impure)}; a strategy has no clock, chance or outside"

    def test_it_decides_alike_ends_within_its_bounds_and_starts_only_what_it_has(self) -> None:
        # The property is a function of its own, because Hypothesis does not want one method in several classes.
        @settings(deadline=None, max_examples=400, phases=set(Phase) - {Phase.explain})
        @given(st.binary(max_size=120))
        def play(content: bytes) -> None:
            self.play(Tape(content))

        play()

    def test_the_ways_that_it_says_are_between_its_steps_and_lead_from_a_beginning_to_an_end(self) -> None:
        @settings(deadline=None, max_examples=100, phases=set(Phase) - {Phase.explain})
        @given(st.binary(max_size=60))
        def draw(content: bytes) -> None:
            view = self.drawn(Tape(content))
            try:
                ways = list(self.made().ways(view))
            except StepError:
                return  # of options that it cannot go by
            ends = {*view.steps, None}
            strange = [way for way in ways if way.source not in ends or way.target not in ends]
            assert not strange, f"{self.name!r} says {strange[0]}; its block has the steps {list(view.steps)}"
            assert any(way.source is None for way in ways), f"{self.name!r} says no way that begins its block"
            assert any(way.target is None for way in ways), f"{self.name!r} says no way that ends its block"
            assert ways == list(self.made().ways(view)), f"{self.name!r} says other ways when it is asked again"

        draw()

    def test_the_options_that_it_is_tried_with_are_those_that_it_offers(self) -> None:
        spec = self.spec()
        for schema, said in ((spec.options, self.variants), (spec.step_options, self.step_variants)):
            for options in said:
                known = set(options) if schema is None else set(schema["properties"])
                assert set(options) <= known, f"{self.name!r} offers no option {sorted(set(options) - known)}"

    def test_histories_of_tasks_with_nested_blocks_of_it_keep_the_laws(self) -> None:
        found = Search([self.sample()], {self.name: self.made()}).run(self.histories, seed=2026)
        broken = found.broken
        assert broken is None, f"{broken.law}\n{broken.trace}"

    def sample(self) -> Sample:
        """How whole workflows of the strategy are drawn."""
        return Sample(
            strategy=self.name,
            output_of=self.output_of,
            min_steps=self.min_steps,
            variants=[{**self.block_options, **options} for options in self.variants],
            step_variants=self.step_variants,
            has_needs=self.has_needs,
        )

    def play(self, tape: Tape) -> Decision | None:
        """One random block, to its end."""
        view = self.drawn(tape)
        most = self.made().most_executions(view)
        if most is None:
            most = self.most_executions(len(view.steps), view.max_iterations)
        return BlockPlay(self.made, view, tape, output_of=self.output_of, most=most).run()

    def drawn(self, tape: Tape) -> BlockView:
        """A block before its first decision."""
        steps = tuple(f"step_{number}" for number in range(self.min_steps + tape.next() % 4))
        newest = self.made().revision
        return BlockView(
            steps=steps,
            input=tape.pick(INPUTS),
            settled=(),
            max_iterations=1 + tape.next() % 4,
            options={**self.block_options, **tape.pick(self.variants)},
            converged=_approved,
            needs=self.sample().needs(steps, tape),
            step_options={step: options for step in steps if (options := tape.pick(self.step_variants))},
            revision=newest - (tape.next() % newest if newest > 1 else 0),  # blocks of older ones are finished, too
        )


def _approved(output: JsonValue) -> bool:
    return isinstance(output, Mapping) and output.get("approved") is True


def _imports_of(module: str) -> set[str]:
    """The top-level names that a module's own text imports."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return set()
    names: set[str] = set()
    for node in ast.walk(ast.parse(Path(found.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module.partition(".")[0])
    return names
