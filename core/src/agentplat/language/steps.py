"""Blocks and steps of a document in their normal form, where everything is said and said in one way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from agentplat.contracts.specs import StrategySpec
from agentplat.domain.json import JsonValue
from agentplat.language.nodes import Node
from agentplat.language.options import Told, told_of, told_of_steps
from agentplat.language.parts import Defaults, NormalForm, condition, read_retry
from agentplat.language.references import check_condition, check_needs, check_template


class Names(Protocol):
    """What is installed."""

    def agents(self) -> Collection[str]: ...

    def tools(self) -> Collection[str]: ...

    def strategies(self) -> Collection[str]: ...

    def strategy(self, name: str) -> StrategySpec | None: ...

    def checks(self) -> Collection[str]: ...


DEFAULT_STRATEGY = "sequential"
DEFAULT_ITERATIONS = 3
"""Of a block that has something to converge on and does not say how often it may try."""
MAX_ITERATIONS = 100

BODIES = ("agent", "agent_type", "tool", "wait", "steps")
_BLOCK = "strategy coordination_type max_iterations convergence_check quality_threshold until options steps"
_LATER_BODIES = "workflow approval emit"
_LATER = "foreach max_parallel queue concurrency compensate catch finally model schedule"
BLOCK_KEYS = frozenset(_BLOCK.split())
COMMON_KEYS = frozenset({"name", "description", "when", "needs"})
LATER_BODIES = frozenset(_LATER_BODIES.split())
LATER_KEYS = LATER_BODIES | frozenset(_LATER.split())
STEP_KEYS = COMMON_KEYS | BLOCK_KEYS | LATER_KEYS | {*BODIES, "input", "retry", "timeout"}
"""What an option of a strategy cannot be called, when it is to stand beside these."""
IN_ORDER = ("sequential", "iterative_refinement")
"""Strategies that take their steps as they stand, so that none can wait for a later one."""
ANYTHING = Told()


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads blocks; `names` None leaves out the question whether what they name is installed."""

    names: Names | None
    defaults: Defaults

    def block(self, node: Node, around: Told = ANYTHING, more: Collection[str] = ()) -> NormalForm:
        """The block's own part of the normal form: its strategy, and its steps.

        `more` are keys that it may have besides those of a block; `around` is what the strategy around it takes.
        """
        strategy = self._strategy(node)
        spec = None if self.names is None else self.names.strategy(strategy)
        own = told_of(spec, STEP_KEYS | around.keys)
        _refuse_keys(node, {*BLOCK_KEYS, *own.keys, *more})
        form: NormalForm = {"strategy": strategy, **self._convergence(node)}
        options = self._options(node, own, lenient="convergence_check" in form)
        if options:
            form["options"] = options
        items = node["steps"].list()
        if not items:
            node["steps"].refuse("no_steps", "a block needs `steps`, a list of at least one step")
            own.check_expressions(node, None)
            return form
        steps, siblings = self.steps(items, told_of_steps(spec, STEP_KEYS), in_order=strategy in IN_ORDER)
        check_condition(node["until"], siblings)
        own.check_expressions(node, siblings)
        form["steps"] = steps
        return form

    def steps(
        self, items: list[Node], around: Told = ANYTHING, others: Collection[str] = (), *, in_order: bool = False
    ) -> tuple[list[JsonValue], frozenset[str] | None]:
        """The normal forms of a block's steps, and all their names if they can be read. `others` are there already."""
        steps = [self.step(item, around) for item in items]
        siblings = _names_of(items, steps, others)
        for item in items:
            check_condition(item["when"], siblings)
            check_template(item["input"], siblings)
            around.check_expressions(item, siblings, from_map="steps" not in item)
        if siblings is not None:
            check_needs(items, [str(step["name"]) for step in steps], others, in_order=in_order)
        return [*steps], siblings

    def _strategy(self, node: Node) -> str:
        given = [key for key in ("strategy", "coordination_type") if key in node]
        if len(given) > 1:
            node[given[1]].refuse_key("two_keys", "`strategy` and `coordination_type` are the same key", "keep one")
        known = None if self.names is None else self.names.strategies()
        return (node[given[0]].known("strategy", known) if given else None) or DEFAULT_STRATEGY

    def _convergence(self, node: Node) -> NormalForm:
        form: NormalForm = {}
        known = None if self.names is None else self.names.checks()
        check = node["convergence_check"].known("convergence_check", known)
        until = condition(node["until"])
        if check is not None and until is not None:
            node["until"].refuse_key("two_keys", "`until` and `convergence_check` exclude each other", "keep one")
        if check is not None:
            form["convergence_check"] = check
        if until is not None:
            form["until"] = until
        most = node["max_iterations"].number(1, MAX_ITERATIONS, whole=True)
        form["max_iterations"] = most if most is not None else DEFAULT_ITERATIONS if form else 1
        return form

    def _options(self, node: Node, own: Told, *, lenient: bool) -> NormalForm:
        given = own.read(node, lenient=lenient)
        threshold = node["quality_threshold"].number(0, 1)
        if threshold is not None:
            if "quality_threshold" in given:
                node["quality_threshold"].refuse_key("two_keys", "`quality_threshold` stands in `options` as well")
            given["quality_threshold"] = threshold
        return given

    def step(self, node: Node, around: Told = ANYTHING) -> NormalForm:
        """A step, or a nested block."""
        if not isinstance(node.value, dict):
            node.refuse("wrong_type", "a step has to be a map: `- agent: research`")
            return {}
        bodies = [key for key in BODIES if key in node]
        if len(bodies) != 1:
            node.keys({*COMMON_KEYS, *BODIES, *BLOCK_KEYS, *around.keys, "input", "retry", "timeout"}, LATER_KEYS)
            _refuse_bodies(node, bodies)
            return _common(node, None)
        match bodies[0]:
            case "steps":
                told = around.read(node, from_map=False)
                form = _named(node) | _input(node) | self.block(node, around, {*COMMON_KEYS, *around.keys, "input"})
            case "wait":
                told = around.read(node)
                form = self._wait(node, around)
            case key:
                told = around.read(node)
                form = self._call(node, key, around)
        return form | {"step_options": told} if told else form

    def _call(self, node: Node, key: str, around: Told) -> NormalForm:
        _refuse_keys(node, {*COMMON_KEYS, key, "input", "retry", "timeout", "options", *around.keys})
        kind = "tool" if key == "tool" else "agent"
        known = None
        if self.names is not None:
            known = self.names.tools() if kind == "tool" else self.names.agents()
        target = node[key].known(kind, known)
        if node[key].value is None:
            node[key].refuse_key("wrong_type", f"`{key}` needs the name of the {kind}")
        timeout = node["timeout"].duration()
        form = _common(node, target) | {
            kind: target,
            "timeout": timeout if timeout is not None else self.defaults.timeout,
            "retry": read_retry(node["retry"], self.defaults.retry),
        }
        return form | _input(node)

    def _wait(self, node: Node, around: Told) -> NormalForm:
        _refuse_keys(node, {*COMMON_KEYS, "wait", "options", *around.keys})
        wait = node["wait"]
        form = _named(node)
        if not wait.keys({"duration", "signal", "timeout"}):
            return form
        if ("duration" in wait) == ("signal" in wait):
            wait.refuse("wrong_body", "a wait has either a `duration` or a `signal`")
        if "duration" in wait and "timeout" in wait:
            wait["timeout"].refuse_key("wrong_body", "only a wait for a `signal` has a `timeout`")
        parts: NormalForm = {
            "duration": wait["duration"].duration(),
            "signal": wait["signal"].name(),
            "timeout": wait["timeout"].duration(),
        }
        return form | {"wait": {key: value for key, value in parts.items() if value is not None}}


def _named(node: Node) -> NormalForm:
    if "name" not in node:
        node.refuse("missing_name", "a wait or a nested block needs a `name`")
    return _common(node, None)


def _common(node: Node, target: str | None) -> NormalForm:
    name = node["name"].name() if "name" in node else target
    form: NormalForm = {"name": name or ""}
    description, when = node["description"].text(), condition(node["when"])
    if description:
        form["description"] = description
    if when is not None:
        form["when"] = when
    needs = _needs(node["needs"])
    if needs:
        form["needs"] = needs
    return form


def _needs(node: Node) -> list[JsonValue]:
    if isinstance(node.value, str):
        return [node.value]
    names = [name for item in node.list() or [] if (name := item.name()) is not None]
    return [*dict.fromkeys(names)]


def _input(node: Node) -> NormalForm:
    return {} if node["input"].value is None else {"input": node["input"].value}


def _refuse_bodies(node: Node, bodies: list[str]) -> None:
    if bodies:
        named = " and ".join(f"`{key}`" for key in bodies)
        node[bodies[1]].refuse_key("wrong_body", f"a step is one thing, and this one has {named}")
    elif not any(key in node for key in LATER_BODIES):
        node.refuse("missing_body", "a step needs one of `agent`, `tool`, `wait` or `steps`")


def _refuse_keys(node: Node, known: Collection[str]) -> None:
    """Refuse unknown keys, and say of a key that has its place elsewhere where that is."""
    for child in node.items():
        if child.key in known:
            continue
        if child.key in ("retry", "timeout"):
            hint = "give it to its agents and tools, or to all by `defaults`; a signal's timeout belongs into `wait`"
            child.refuse_key("misplaced_key", f"`{child.key}` is for agents and tools", hint)
        elif child.key in BLOCK_KEYS:
            child.refuse_key("misplaced_key", f"`{child.key}` is for blocks, which have `steps`")
        elif child.key == "input":
            child.refuse_key("misplaced_key", "a wait takes no `input`")
    node.keys({*known, *BLOCK_KEYS, "retry", "timeout", "input"}, LATER_KEYS)


def _names_of(items: list[Node], steps: list[NormalForm], others: Collection[str]) -> frozenset[str] | None:
    """The names of the block's steps, each once; None when some could not be read."""
    names = set(others)
    for item, step in zip(items, steps, strict=True):
        name = step.get("name")
        if not isinstance(name, str) or not name:
            continue
        if name in names:
            text = f"another step of this block is called `{name}`"
            item["name"].refuse("duplicate_step", text, "give it another `name`")
        names.add(name)
    return frozenset(names) if len(names) == len(steps) + len(others) else None
