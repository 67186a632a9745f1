"""The contract of coordination strategies: pure, repeatable, and coming to an end."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agentplat.domain.interpreter import MAX_EXECUTIONS
from agentplat.domain.json import JsonValue, unstorable
from agentplat.domain.strategy import BlockView, Decision, Fail, Finish, Most, Settled, Start, Strategy, Wait
from agentplat_testkit.contracts.plugins import PluginContract, imported_by

IMPURE = frozenset(
    {
        *("asyncio", "concurrent", "multiprocessing", "queue", "select", "selectors", "signal", "threading"),
        *("datetime", "time", "random", "secrets", "uuid"),
        *("ctypes", "glob", "io", "os", "pathlib", "platform", "shutil", "sqlite3", "subprocess", "tempfile"),
        *("http", "logging", "socket", "ssl", "urllib"),
    }
)
"""Modules by which a clock, chance or the outside would come in."""

_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
OUTPUTS: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(),
    st.integers(),
    _texts,
    st.lists(st.integers(), max_size=2),
    st.fixed_dictionaries({"approved": st.booleans()}, optional={"feedback": _texts, "quality_score": st.floats(0, 1)}),
)
INPUTS: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(), _texts, st.fixed_dictionaries({}, optional={"topic": _texts})
)


class StrategyContract(PluginContract):
    """Plays the strategy through random blocks. Say `min_steps` and `block_options` where it needs them."""

    offers: ClassVar[str] = "strategies"
    min_steps: ClassVar[int] = 1
    block_options: ClassVar[Mapping[str, JsonValue]] = {}

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
        strategies = (self.made(), self.made())

        # The property is a function of its own, because Hypothesis does not want one method in several classes.
        @settings(deadline=None, max_examples=100, phases=set(Phase) - {Phase.explain})
        @given(st.data())
        def play(draws: st.DataObject) -> None:
            steps = tuple(f"step_{n}" for n in range(draws.draw(st.integers(self.min_steps, self.min_steps + 3))))
            view = BlockView(
                steps=steps,
                input=draws.draw(INPUTS),
                settled=(),
                max_iterations=draws.draw(st.integers(1, 4)),
                options=self.block_options,
                converged=_approved,
            )
            self.play(strategies, view, draws)

        play()

    def play(self, strategies: tuple[Strategy, Strategy], view: BlockView, draws: st.DataObject) -> None:
        """One block, to its end; two instances of the strategy are asked."""
        settled: list[Settled] = []
        open_: list[str] = []
        started: dict[str, int] = {}
        most = self.most_executions(strategies, view)
        while True:
            now = _with(view, tuple(settled), tuple(open_))
            decision = self.decided(strategies, now)
            if isinstance(decision, Finish | Fail):
                assert unstorable(decision.output if isinstance(decision, Finish) else decision.message) is None
                return
            if isinstance(decision, Start):
                self.check_start(decision, view)
                open_.extend(decision.steps)
                self.check_most(most, [*(each.step for each in settled), *open_])
            assert open_, f"{self.name!r} waits, and nothing is under way"
            for _ in range(1 if strategies[0].consult_always else len(open_)):
                step = open_.pop(draws.draw(st.integers(0, len(open_) - 1)))
                started[step] = started.get(step, 0) + 1
                settled.append(_outcome(step, started[step], draws))

    def most_executions(self, strategies: tuple[Strategy, Strategy], view: BlockView) -> Most | None:
        """What the strategy says of its executions: twice the same, of steps that there are, each said once."""
        first, second = strategies[0].most_executions(view), strategies[1].most_executions(deepcopy(view))
        if first is None:
            assert second is None
            return None
        named = [step for steps, _ in first for step in steps]
        assert [*map(_sorted, first)] == [*map(_sorted, second or ())], f"the same view gave {first} and {second}"
        assert len(named) == len(set(named)), f"most_executions of {self.name!r} says a step twice: {named}"
        assert set(named) <= set(view.steps), f"most_executions of {self.name!r} says unknown steps: {named}"
        return first

    def check_most(self, most: Most | None, executed: Sequence[str]) -> None:
        """Fail where more was started than the strategy says; where it says nothing, than an engine would bear."""
        if most is None:
            assert len(executed) <= MAX_EXECUTIONS, f"{self.name!r} goes on after {MAX_EXECUTIONS} executions"
            return
        bounds = {step: n for n, (steps, _) in enumerate(most) for step in steps}
        counts = Counter(bounds.get(step) for step in executed)
        assert None not in counts, f"{self.name!r} starts a step that most_executions leaves out: {executed}"
        for n, (steps, allowed) in enumerate(most):
            assert counts[n] <= allowed, f"{self.name!r} executes {sorted(steps)} {counts[n]} times, and says {allowed}"

    def decided(self, strategies: tuple[Strategy, Strategy], view: BlockView) -> Decision:
        """The decision; twice the same, and the view unchanged."""
        before = deepcopy((view.input, view.settled, dict(view.options)))
        first, second = strategies[0].decide(view), strategies[1].decide(deepcopy(view))
        assert _content(first) == _content(second), f"the same view gave {first} and {second}"
        assert (view.input, view.settled, dict(view.options)) == before, f"{self.name!r} changes what it is shown"
        assert isinstance(first, Start | Wait | Finish | Fail), f"decide gave {first!r}"
        return first

    def check_start(self, decision: Start, view: BlockView) -> None:
        assert decision.steps, f"{self.name!r} starts no step at all"
        unknown = set(decision.steps) - set(view.steps)
        assert not unknown, f"{self.name!r} starts {unknown}, which the block does not have"
        assert unstorable(decision.input) is None, unstorable(decision.input)


def _sorted(group: tuple[Collection[str], int]) -> tuple[list[str], int]:
    return sorted(group[0]), group[1]


def _approved(output: JsonValue) -> bool:
    return isinstance(output, Mapping) and output.get("approved") is True


def _outcome(step: str, number: int, draws: st.DataObject) -> Settled:
    if draws.draw(st.integers(0, 9)) == 0:
        return Settled(step=step, number=number, status="skipped")
    return Settled(step=step, number=number, status="succeeded", output=draws.draw(OUTPUTS))


def _with(view: BlockView, settled: tuple[Settled, ...], open_: tuple[str, ...]) -> BlockView:
    return BlockView(
        steps=view.steps,
        input=view.input,
        settled=settled,
        open=open_,
        max_iterations=view.max_iterations,
        options=view.options,
        converged=view.converged,
    )


def _content(decision: Decision) -> tuple[Any, ...]:
    match decision:
        case Start():
            return ("start", decision.steps, decision.input)
        case Finish():
            return ("finish", decision.output)
        case Fail():
            return ("fail", decision.failure)
        case _:
            return ("wait",)


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
