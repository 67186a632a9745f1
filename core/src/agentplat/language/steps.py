"""Blocks and steps of a document in their normal form, where everything is said and said in one way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from agentplat.domain.failure import FailureCode
from agentplat.domain.json import JsonValue
from agentplat.domain.retry import DEFAULT_RETRY, RetryPolicy
from agentplat.domain.workflow import DEFAULT_STEP_TIMEOUT
from agentplat.language.nodes import Node, seconds_of
from agentplat.language.references import check_condition, check_template, refuse_expressions


class Names(Protocol):
    """What is installed."""

    def agents(self) -> Collection[str]: ...

    def tools(self) -> Collection[str]: ...

    def strategies(self) -> Collection[str]: ...

    def checks(self) -> Collection[str]: ...


DEFAULT_STRATEGY = "sequential"
DEFAULT_ITERATIONS = 3
"""Of a block that has something to converge on and does not say how often it may try."""
MAX_ITERATIONS = 100

BODIES = ("agent", "agent_type", "tool", "wait", "steps")
_BLOCK = "strategy coordination_type max_iterations convergence_check quality_threshold until options steps"
_LATER_BODIES = "workflow approval emit"
_LATER = "foreach max_parallel needs join queue concurrency compensate catch finally model on"
BLOCK_KEYS = frozenset(_BLOCK.split())
COMMON_KEYS = frozenset({"name", "description", "when"})
LATER_BODIES = frozenset(_LATER_BODIES.split())
LATER_KEYS = LATER_BODIES | frozenset(_LATER.split())
RETRY_KEYS = frozenset({"max_attempts", "backoff", "initial", "max", "on"})
BACKOFFS = ("exponential", "linear", "constant")
FAILURES = frozenset({"retryable", "permanent", *(code.value for code in FailureCode)})

NormalForm = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a step gets that does not say otherwise."""

    timeout: float | None
    retry: NormalForm


def _normal_retry(policy: RetryPolicy) -> NormalForm:
    return {
        "max_attempts": policy.max_attempts,
        "backoff": policy.backoff,
        "initial": seconds_of(policy.initial.total_seconds()),
        "max": seconds_of(policy.max.total_seconds()),
        "on": sorted(policy.on),
    }


def read_defaults(node: Node) -> Defaults:
    """What a workflow's `defaults` say, over what is usual. Faults are reported."""
    if node.value is not None:
        node.keys({"timeout", "retry"}, {"model"})
    timeout = node["timeout"].duration()
    return Defaults(
        timeout=timeout if timeout is not None else seconds_of(DEFAULT_STEP_TIMEOUT.total_seconds()),
        retry=_read_retry(node["retry"], _normal_retry(DEFAULT_RETRY)),
    )


def _read_retry(node: Node, default: NormalForm) -> NormalForm:
    if node.value is None or not node.keys(RETRY_KEYS):
        return default
    given: NormalForm = {
        "max_attempts": node["max_attempts"].number(1, 100, whole=True),
        "backoff": node["backoff"].known("backoff", BACKOFFS),
        "initial": node["initial"].duration(),
        "max": node["max"].duration(),
        "on": _read_failures(node["on"]),
    }
    retry = default | {key: value for key, value in given.items() if value is not None}
    first, longest = retry["initial"], retry["max"]
    assert isinstance(first, int | float)
    assert isinstance(longest, int | float)
    if first > longest:
        if given["max"] is not None:
            node["max"].refuse("out_of_range", f"`max` is shorter than `initial`, which is {first:g} s")
        retry["max"] = first
    return retry


def _read_failures(node: Node) -> JsonValue:
    if isinstance(node.value, str):
        code = node.known("failure", FAILURES)
        return None if code is None else [code]
    items = node.list()
    if items is None:
        return None
    return sorted({code for item in items if (code := item.known("failure", FAILURES)) is not None})


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads blocks; `names` None leaves out the question whether what they name is installed."""

    names: Names | None
    defaults: Defaults

    def block(self, node: Node) -> NormalForm:
        """The block's own part of the normal form: its strategy, and its steps."""
        form: NormalForm = {"strategy": self._strategy(node), **self._convergence(node)}
        options = self._options(node)
        if options:
            form["options"] = options
        items = node["steps"].list()
        if not items:
            node["steps"].refuse("no_steps", "a block needs `steps`, a list of at least one step")
            return form
        steps, siblings = self.steps(items)
        check_condition(node["until"], siblings)
        form["steps"] = steps
        return form

    def steps(self, items: list[Node], others: Collection[str] = ()) -> tuple[list[JsonValue], frozenset[str] | None]:
        """The normal forms of a block's steps, and all their names if they can be read. `others` are there already."""
        steps = [self.step(item) for item in items]
        siblings = _names_of(items, steps, others)
        for item in items:
            check_condition(item["when"], siblings)
            check_template(item["input"], siblings)
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

    def _options(self, node: Node) -> NormalForm:
        options = node["options"]
        given: NormalForm = {}
        if options.value is not None and options.is_map():
            refuse_expressions(options)
            assert isinstance(options.value, dict)
            given = dict(options.value)
        threshold = node["quality_threshold"].number(0, 1)
        if threshold is not None:
            if "quality_threshold" in given:
                node["quality_threshold"].refuse_key("two_keys", "`quality_threshold` stands in `options` as well")
            given["quality_threshold"] = threshold
        return given

    def step(self, node: Node) -> NormalForm:
        """A step, or a nested block."""
        if not isinstance(node.value, dict):
            node.refuse("wrong_type", "a step has to be a map: `- agent: research`")
            return {}
        bodies = [key for key in BODIES if key in node]
        if len(bodies) != 1:
            node.keys({*COMMON_KEYS, *BODIES, *BLOCK_KEYS, "input", "retry", "timeout"}, LATER_KEYS)
            _refuse_bodies(node, bodies)
            return _common(node, None)
        match bodies[0]:
            case "steps":
                return self._nested(node)
            case "wait":
                return self._wait(node)
            case key:
                return self._call(node, key)

    def _call(self, node: Node, key: str) -> NormalForm:
        _refuse_keys(node, {*COMMON_KEYS, key, "input", "retry", "timeout"})
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
            "retry": _read_retry(node["retry"], self.defaults.retry),
        }
        return form | _input(node)

    def _wait(self, node: Node) -> NormalForm:
        _refuse_keys(node, {*COMMON_KEYS, "wait"})
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

    def _nested(self, node: Node) -> NormalForm:
        _refuse_keys(node, {*COMMON_KEYS, *BLOCK_KEYS, "input"})
        return _named(node) | _input(node) | self.block(node)


def condition(node: Node) -> str | None:
    """An expression as text; `true` and `false` may stand as they are."""
    if isinstance(node.value, bool):
        return str(node.value).lower()
    return node.text()


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
    return form


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
