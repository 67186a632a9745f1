"""Blocks and steps of a document in their normal form, where everything is said and said in one way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from agentplat.contracts.specs import StrategySpec
from agentplat.domain.json import JsonValue
from agentplat.language.bodies import read_approval, read_dispatch, read_emit, read_foreach, read_wait
from agentplat.language.nodes import Node
from agentplat.language.options import Told, told_of, told_of_steps
from agentplat.language.parts import Defaults, NormalForm, condition, read_failures, read_retry
from agentplat.language.references import NOTHING, Scope, check_condition, check_needs, check_template


class Names(Protocol):
    """What is installed."""

    def agents(self) -> Collection[str]: ...

    def tools(self) -> Collection[str]: ...

    def workflows(self) -> Collection[str]: ...

    def strategies(self) -> Collection[str]: ...

    def strategy(self, name: str) -> StrategySpec | None: ...

    def checks(self) -> Collection[str]: ...


DEFAULT_STRATEGY = "sequential"
DEFAULT_ITERATIONS = 3
"""Of a block that has something to converge on and does not say how often it may try."""
MAX_ITERATIONS = 100

BODIES = ("agent", "agent_type", "tool", "workflow", "wait", "approval", "emit", "steps")
_BLOCK = "strategy coordination_type max_iterations convergence_check quality_threshold until options steps"
_ENDS = "timeout catch finally"
BLOCK_KEYS = frozenset(f"{_BLOCK} {_ENDS}".split())
ITEM_KEYS = frozenset({"foreach", "max_parallel", "join"})
COMMON_KEYS = frozenset({"name", "description", "when", "needs", "compensate"})
CALL_KEYS = frozenset({"input", "retry", "timeout", "queue", "concurrency"})
STEP_KEYS = COMMON_KEYS | BLOCK_KEYS | CALL_KEYS | {*BODIES, "foreach", "model", "schedule"}
"""What an option of a strategy cannot be called, when it is to stand beside these."""
IN_ORDER = ("sequential", "iterative_refinement")
"""Strategies that take their steps as they stand, so that none can wait for a later one."""
ANYTHING = Told()


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads blocks; `names` None leaves out the question whether what they name is installed."""

    names: Names | None
    defaults: Defaults
    scope: Scope = NOTHING
    """What expressions may name besides the steps of their block."""
    name: str | None = None  # of the workflow, which may call itself
    is_certain: bool = True  # whether what is read runs in every task, all being well

    def block(self, node: Node, around: Told = ANYTHING, more: Collection[str] = ()) -> NormalForm:
        """The block's own part of the normal form: its strategy, and its steps.

        `more` are keys that it may have besides those of a block; `around` is what the strategy around it takes.
        """
        strategy = self._strategy(node)
        spec = None if self.names is None else self.names.strategy(strategy)
        own = told_of(spec, STEP_KEYS | around.keys | (ITEM_KEYS if "foreach" in node else frozenset()))
        _refuse_keys(node, {*BLOCK_KEYS, *own.keys, *more})
        form: NormalForm = {"strategy": strategy, **self._convergence(node)}
        options = self._options(node, own, lenient="convergence_check" in form)
        if options:
            form["options"] = options
        timeout = node["timeout"].duration()
        if timeout is not None:
            form["timeout"] = timeout
        items = node["steps"].list()
        if not items:
            node["steps"].refuse("no_steps", "a block needs `steps`, a list of at least one step")
            own.check_expressions(node, self.scope)
            return form
        in_order = strategy in IN_ORDER
        inner = replace(self, is_certain=self.is_certain and in_order)
        steps, siblings = inner.steps(items, told_of_steps(spec, STEP_KEYS), in_order=in_order)
        scope = replace(self.scope, steps=siblings)
        check_condition(node["until"], scope)
        own.check_expressions(node, scope)
        return form | {"steps": steps} | self._ends(node, siblings)

    def steps(
        self, items: list[Node], around: Told = ANYTHING, others: Collection[str] = (), *, in_order: bool = False
    ) -> tuple[list[JsonValue], frozenset[str] | None]:
        """The normal forms of a block's steps, and all their names if they can be read. `others` are there already."""
        steps = [self.step(item, around) for item in items]
        siblings = _names_of(items, steps, others)
        scope = replace(self.scope, steps=siblings)
        for item, step in zip(items, steps, strict=True):
            within = scope.with_more("item", "index") if "foreach" in item else scope
            check_condition(item["when"], scope)
            check_template(item["foreach"], scope)
            places = (item["input"], item["concurrency"]["key"], item["wait"]["until"], item["emit"]["data"])
            for place in (*places, item["approval"]["message"], item["approval"]["assignee"]):
                check_template(place, within)
            around.check_expressions(item, scope, from_map="steps" not in item)
            if item["compensate"].value is not None:
                undoing = replace(self, scope=within, is_certain=False)
                step["compensate"] = undoing.compensation(item["compensate"], siblings)
        if siblings is not None:
            check_needs(items, [str(step["name"]) for step in steps], others, in_order=in_order)
        return [*steps], siblings

    def _ends(self, node: Node, siblings: frozenset[str] | None) -> NormalForm:
        """What the block does about its failures, and at its end."""
        form: NormalForm = {}
        reader = replace(self, scope=self.scope.with_more("failure"))
        catching, clauses = replace(reader, is_certain=False), list[JsonValue]()
        for clause in node["catch"].list() or []:
            if not clause.keys({"on", "steps"}):
                continue
            on = read_failures(clause["on"]) or ["permanent", "retryable"]
            clauses.append({"on": on, "steps": catching.handler(clause["steps"], siblings)})
        if clauses:
            form["catch"] = clauses
        if node["finally"].value is not None:
            form["finally"] = reader.handler(node["finally"], siblings, undone=False)
        return form

    def handler(self, node: Node, siblings: frozenset[str] | None, *, undone: bool = True) -> list[JsonValue]:
        """Steps that deal with a failure or an end, and see those of their block. `undone`: may be undone later."""
        items = node.list()
        if not items:
            node.refuse("no_steps", f"`{node.key}` needs a list of at least one step")
        for item in items or []:
            _refuse_undoing(item, undone)
        return self.steps(items or [], ANYTHING, siblings or (), in_order=True)[0]

    def compensation(self, node: Node, siblings: frozenset[str] | None) -> list[JsonValue]:
        """The steps that make a step undone: one, written as such, or a list of `steps`."""
        reader = replace(self, scope=replace(self.scope.with_more("failure"), steps=siblings))
        if not node.is_map():
            return []
        if "steps" in node and "strategy" not in node:
            node.keys({"steps"})
            return reader.handler(node["steps"], siblings, undone=False)
        _refuse_undoing(node, undone=False)
        form = reader.step(node)
        check_template(node["input"], reader.scope)
        check_template(node["concurrency"]["key"], reader.scope)
        check_condition(node["when"], reader.scope)
        return [form]

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
            node.keys({*COMMON_KEYS, *BODIES, *BLOCK_KEYS, *ITEM_KEYS, *around.keys, *CALL_KEYS, "model"})
            _refuse_bodies(node, bodies)
            return _common(node, None)
        reader, more = self, frozenset(around.keys)
        if "foreach" in node:
            reader, more = replace(self, scope=self.scope.with_more("item", "index")), more | ITEM_KEYS
        if "when" in node or "foreach" in node:
            reader = replace(reader, is_certain=False)
        form = reader.body(node, bodies[0], around, more)
        told = around.read(node, from_map=bodies[0] != "steps")
        if "foreach" in node:
            form["foreach"] = read_foreach(node)
        return form | {"step_options": told} if told else form

    def body(self, node: Node, key: str, around: Told, more: frozenset[str]) -> NormalForm:
        """What a step does; `more` are keys that it may have besides."""
        if key == "steps":
            return _named(node) | _input(node) | self.block(node, around, {*COMMON_KEYS, *more, "input"})
        if key in _PLAIN:
            _refuse_keys(node, {*COMMON_KEYS, key, "options", *more})
            return _named(node) | {key: _PLAIN[key](node[key])}
        return self._call(node, key, more)

    def _call(self, node: Node, key: str, more: Collection[str]) -> NormalForm:
        kind = "agent" if key == "agent_type" else key
        own = {"model"} if kind == "agent" else set()
        _refuse_keys(node, {*COMMON_KEYS, key, *own, *CALL_KEYS, "options", *more})
        target = node[key].known(kind, self._known(kind))
        if node[key].value is None:
            node[key].refuse_key("wrong_type", f"`{key}` needs the name of the {kind}")
        retry = read_retry(node["retry"], self.defaults.retry)
        if kind == "workflow" and node["retry"].value is None:
            retry = retry | {"max_attempts": 1}  # its own steps were tried again, and would all be
        form = _common(node, target) | {kind: target, "retry": retry}
        timeout = node["timeout"].duration()
        if timeout is None and kind != "workflow":
            timeout = self.defaults.timeout
        if timeout is not None:
            form["timeout"] = timeout
        if kind == "workflow" and target is not None and target == self.name and self.is_certain:
            text = f"`{target}` calls itself in every task, so that none can ever end"
            node[key].refuse("endless_recursion", text, "say by `when` in which tasks it does")
        model = (node["model"].text() or self.defaults.model) if kind == "agent" else None
        return form | _input(node) | read_dispatch(node) | ({} if model is None else {"model": model})

    def _known(self, kind: str) -> Collection[str] | None:
        """The names of a kind of what a step can call."""
        if self.names is None:
            return None
        if kind == "workflow":
            return {*self.names.workflows(), *([self.name] if self.name is not None else [])}
        return self.names.tools() if kind == "tool" else self.names.agents()


_PLAIN: Mapping[str, Callable[[Node], NormalForm]] = {
    "wait": read_wait,
    "approval": read_approval,
    "emit": read_emit,
}


def _refuse_undoing(node: Node, undone: bool) -> None:
    """Nothing undoes what comes at the end."""
    if not undone:
        for place in (node, *node["steps"].items()):
            if "compensate" in place:
                place["compensate"].refuse_key("misplaced_key", "what comes at the end is not undone itself")


def _named(node: Node) -> NormalForm:
    if node["name"].value is None:
        node.refuse("missing_name", "a step that calls no agent, tool or workflow needs a `name`")
    return _common(node, None)


def _common(node: Node, target: str | None) -> NormalForm:
    name = node["name"].name() if node["name"].value is not None else target
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
    else:
        node.refuse(
            "missing_body", f"a step needs one of {', '.join(f'`{key}`' for key in BODIES if key != 'agent_type')}"
        )


def _refuse_keys(node: Node, known: Collection[str]) -> None:
    """Refuse unknown keys, and say of a key that has its place elsewhere where that is."""
    for child in node.items():
        if child.key in known:
            continue
        if child.key in ("retry", "timeout"):
            hint = "give it to its agents and tools, or to all by `defaults`"
            if child.key == "timeout":
                hint += "; a signal's timeout belongs into `wait`"
            child.refuse_key("misplaced_key", f"`{child.key}` is for agents, tools and workflows", hint)
        elif child.key in CALL_KEYS - {"input"}:
            child.refuse_key("misplaced_key", f"`{child.key}` is for agents, tools and workflows")
        elif child.key in BLOCK_KEYS:
            child.refuse_key("misplaced_key", f"`{child.key}` is for blocks, which have `steps`")
        elif child.key == "input":
            child.refuse_key("misplaced_key", "only agents, tools, workflows and blocks take an `input`")
        elif child.key == "model":
            child.refuse_key("misplaced_key", "`model` is for agents")
        elif child.key in ITEM_KEYS:
            child.refuse_key("misplaced_key", f"`{child.key}` is for steps with `foreach`", _HINTS.get(child.key, ""))
    node.keys({*known, *BLOCK_KEYS, *ITEM_KEYS, *CALL_KEYS, "model"})


_HINTS = {"join": "where a strategy takes a `join`, it stands in the block"}


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
