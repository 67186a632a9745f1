"""The expressions of a document: whether they can be read, and whether what they name will be there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agentplat.language.diagnostics import Mark
from agentplat.language.expressions import MAX_COMPUTED, fault_of
from agentplat.language.nodes import Node
from agentplat.language.syntax import (
    FILTERS,
    OPEN,
    TESTS,
    Expression,
    Malformed,
    Mention,
    filters_and_tests,
    parse,
    split,
    value_of,
)

ATTRIBUTES: Mapping[str, Collection[str] | None] = {
    "input": None,  # the task's input: whatever its schema allows
    "steps": None,  # the steps of the same block
    "signals": None,  # by name, whatever was sent
    "task": ("id", "tenant", "created_at"),
    "iteration": (),
    "last": None,  # what the last step that settled in the block gave
}
MORE: Mapping[str, str] = {
    "item": "`item` and `index` are for steps with `foreach`",
    "index": "`item` and `index` are for steps with `foreach`",
    "failure": "`failure` is for the steps of `catch`, `finally` and `compensate`",
    "schedule": "`schedule` is for the input of a schedule, which hands it to the steps as `input`",
}
"""What is in scope in some places only, and where."""
MOST_IN_A_TEXT = 20
"""After so many faults a text is not looked at any further."""
OF_A_STEP = ("output", "status", "iteration")


@dataclass(frozen=True, slots=True)
class Scope:
    """What expressions may name in one place. `steps` None: not known, so not asked."""

    steps: Collection[str] | None = None
    more: frozenset[str] = frozenset()
    attributes: Mapping[str, Collection[str] | None] = field(default_factory=lambda: ATTRIBUTES)

    def with_more(self, *names: str) -> Scope:
        """The same with these names of MORE."""
        return Scope(self.steps, self.more | {*names}, self.attributes)


NOTHING = Scope()
OF_A_SCHEDULE = Scope(attributes={"schedule": ("name", "due", "date")})


def check_template(node: Node, scope: Scope) -> None:
    """Report what is wrong with the expressions in `node` or below it."""
    if isinstance(node.value, str):
        _check_text(node, node.value, scope)
    for child in node.items():
        if OPEN in child.key:
            child.refuse_key("expression", "a key is taken as it stands; only values may hold expressions")
        check_template(child, scope)


def check_condition(node: Node, scope: Scope) -> None:
    """As `check_template`, for a place that takes one expression, with or without `${{ }}` around it."""
    if not isinstance(node.value, str):
        return
    try:
        expression = parse(node.value)
    except Malformed as fault:
        _refuse(node, fault.offset, "expression", fault.text, fault.hint)
        return
    _check(node, expression, scope)


def refuse_expressions(node: Node) -> None:
    """Report expressions in a place where nothing evaluates them."""
    if isinstance(node.value, str) and OPEN in node.value:
        _refuse(node, node.value.index(OPEN), "expression", "expressions are not evaluated here", "write the value")
    for child in node.items():
        refuse_expressions(child)


def check_needs(
    items: Sequence[Node], names: Sequence[str], others: Collection[str], *, in_order: bool = False
) -> None:
    """Report `needs` of what is not there, of each other, and, where steps go in order, of what comes later."""
    places: dict[str, list[tuple[str, Node]]] = {}
    for item, name in zip(items, names, strict=True):
        needs = item["needs"]
        found = needs.items() if isinstance(needs.value, list) else [needs]
        places[name] = [(place.value, place) for place in found if isinstance(place.value, str)]
    for number, name in enumerate(names):
        for needed, place in places[name]:
            if needed not in places and needed not in others:
                hint = place.diagnostics.nearest(needed, {*places, *others})
                place.refuse("unknown_step", f"there is no step `{needed}` in this block", hint)
            elif in_order and needed in names[number + 1 :]:
                text = f"`{name}` comes before `{needed}`, which it needs, and this strategy takes steps in their order"
                place.refuse("unreachable_step", text, "put it first, or use `strategy: dag`")
    for cycle in _cycles({name: [needed for needed, _ in found if needed in places] for name, found in places.items()}):
        place = next(place for needed, place in places[cycle[0]] if needed == cycle[1])
        text = f"these steps wait for each other: {' -> '.join(cycle)}"
        place.refuse("cycle", text, "none of them could ever start; take one `needs` away")


def _cycles(needs: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """The rings in `needs`, one for each knot of them; the last step of a ring is its first one again."""
    done: set[str] = set()
    for start in needs:
        trail: list[str] = []
        on_trail: dict[str, int] = {}
        stack = [(start, iter(needs[start]))] if start not in done else []
        if stack:
            on_trail[start] = 0
            trail.append(start)
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                trail.pop()
                del on_trail[name]
                done.add(name)
            elif following in on_trail:
                yield [*trail[on_trail[following] :], following]
                done.update(trail)
                break
            elif following not in done:
                on_trail[following] = len(trail)
                trail.append(following)
                stack.append((following, iter(needs[following])))


def _check_text(node: Node, text: str, scope: Scope) -> None:
    try:
        expressions = [piece for piece in split(text) if isinstance(piece, Expression)]
    except Malformed as fault:
        _refuse(node, fault.offset, "expression", fault.text, fault.hint)
        return
    if sum(1 for expression in expressions if expression.path is None) > MAX_COMPUTED:
        _refuse(node, 0, "expression", f"one text computes more than {MAX_COMPUTED} expressions")
    before = len(node.diagnostics.found)
    for expression in expressions:
        _check(node, expression, scope)
        if len(node.diagnostics.found) - before >= MOST_IN_A_TEXT:
            return


def _check(node: Node, expression: Expression, scope: Scope) -> None:
    unknown = False
    for kind, token in filters_and_tests(expression.tokens):
        known = FILTERS if kind == "filter" else TESTS
        if token.text not in known:
            unknown = True
            _refuse(
                node,
                token.offset,
                f"unknown_{kind}",
                f"there is no {kind} `{token.text}`",
                node.diagnostics.nearest(token.text, known),
            )
    fault = None if unknown else fault_of(expression)
    if fault is not None:
        _refuse(node, fault.offset, "expression", fault.text, fault.hint)
        return
    for mention in expression.mentions:
        _check_mention(node, mention, scope)


def _check_mention(node: Node, mention: Mention, scope: Scope) -> None:
    root, path = mention.root.text, mention.path
    if root not in scope.attributes and root not in scope.more:
        hint = MORE.get(root) or node.diagnostics.nearest(root, scope.attributes)
        _refuse(node, mention.root.offset, "unknown_value", f"there is no `{root}` here", hint)
    if root == "steps":
        _check_step(node, mention, scope.steps)
    known = scope.attributes.get(root)
    if known is not None and path and value_of(path[0]) not in known:
        text = f"`{root}` has no `{value_of(path[0])}`"
        _refuse(node, path[0].offset, "unknown_value", text, node.diagnostics.nearest(str(value_of(path[0])), known))


def _check_step(node: Node, mention: Mention, steps: Collection[str] | None) -> None:
    if not mention.path or steps is None:
        return
    name = value_of(mention.path[0])
    if name not in steps:
        hint = node.diagnostics.nearest(str(name), steps)
        _refuse(node, mention.path[0].offset, "unknown_step", f"there is no step `{name}` in this block", hint)
    elif len(mention.path) > 1 and value_of(mention.path[1]) not in OF_A_STEP:
        attribute = str(value_of(mention.path[1]))
        text = f"a step has {', '.join(OF_A_STEP)}, and no `{attribute}`"
        hint = f"what the step gave is below `output`: `steps.{name}.output.{attribute}`"
        _refuse(node, mention.path[1].offset, "unknown_value", text, hint)


def _refuse(node: Node, offset: int, code: str, text: str, hint: str = "") -> None:
    node.diagnostics.add(place_of(node, offset), code, text, hint)


def place_of(node: Node, offset: int) -> Mark:
    """Where the `offset`-th character of a text stands in the file; if written otherwise, where the text does."""
    mark, text, written = node.document.mark(node.path), str(node.value), node.document.text
    opened = text.rfind(OPEN, 0, offset + len(OPEN))
    found = node.document.offset(mark)
    if opened < 0:
        opened = 0
        found = written.find(text[: offset + 1], found)
    else:
        found -= 1
        for _ in range(text.count(OPEN, 0, opened) + 1):
            found = written.find(OPEN, found + 1)
            if found < 0:
                break
    if found < 0:
        return mark
    as_written = written[found : found + offset - opened] == text[opened:offset]
    return node.document.mark_of(found + offset - opened if as_written else found)
