"""What has an order: numbers among numbers, texts among texts, lists by their first difference.

minijinja has an answer for everything, `"0.3" >= 0.9` being true. `guard.py` leads every comparison of an expression
here, and every list that is sorted.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agentplat.domain.json import MAX_DEPTH, kind_of
from agentplat.language.evaluation.views import unwrapped


class Unlike(Exception):
    """Two values of which none is the greater one; the text names both."""


def _named(value: object) -> str:
    kind = kind_of(value)
    if kind not in ("number", "text", "null", "true or false"):
        return f"a {kind}"
    text = json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= 40 else f"{text[:37]}..."
    return f"the {kind} {text}" if kind in ("number", "text") else text


def _unlike(left: object, right: object) -> Unlike:
    advice = "a number is compared with a number, and a text with a text"
    if {kind_of(left), kind_of(right)} == {"number", "text"}:
        advice += "; `value | float` makes a number of a text"
    elif kind_of(left) == kind_of(right) == "map":
        advice = "maps have no order; compare one of their values, or `sort(attribute='name')`"
    return Unlike(f"it compares {_named(left)} with {_named(right)}: {advice}")


def _compared(order: Callable[[Any, Any], bool], left: object, right: object) -> bool:
    left, right = unwrapped(left), unwrapped(right)
    kind = kind_of(left)
    if kind != kind_of(right) or kind == "map":
        raise _unlike(left, right)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        for one, other in zip(left, right, strict=False):
            if kind_of(unwrapped(one)) != kind_of(unwrapped(other)) or one != other:
                return _compared(order, one, other)
        return order(len(left), len(right))
    return order(0, 0) if left is None else order(left, right)


def _test(order: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
    return lambda left, right: _compared(order, left, right)


_NAMES = (
    (operator.lt, ("<", "lt", "lessthan")),
    (operator.le, ("<=", "le")),
    (operator.gt, (">", "gt", "greaterthan")),
    (operator.ge, (">=", "ge")),
)
TESTS = {name: _test(order) for order, names in _NAMES for name in names}
"""By the names that minijinja gives to its own. They raise Unlike."""


def alike(items: object, *_: object, attribute: object = None, by: object = None, **_others: object) -> object:
    """`items` as they came, when each of them can be compared with each other. Raises Unlike.

    `attribute` and `by` are those of the filter that will put them into an order.
    """
    content = unwrapped(items)
    if isinstance(content, Mapping):
        _refuse_unlike([*(content.values() if by == "value" else content)])
    elif isinstance(content, list | tuple):
        for path in attribute.split(",") if isinstance(attribute, str) else (None,):
            _refuse_unlike([*content] if path is None else [*_at(content, path.split("."))])
    return items


def _at(items: list[object] | tuple[object, ...], path: list[str]) -> Iterator[object]:
    """What stands there in each item, as far as it does; what does not is minijinja's to tell."""
    for item in items:
        value = unwrapped(item)
        try:
            for part in path:
                value = unwrapped(value[part] if isinstance(value, Mapping) else value[int(part)])  # type: ignore[index]
        except (LookupError, TypeError, ValueError):
            continue
        yield value


def _refuse_unlike(values: list[object]) -> None:
    for _ in range(MAX_DEPTH):
        values = [unwrapped(value) for value in values]
        kinds = {kind_of(value): value for value in {type(value): value for value in values}.values()}
        if len(kinds) > 1:
            raise _unlike(*list(kinds.values())[:2])
        if "map" in kinds and len(values) > 1:
            raise _unlike(*values[:2])
        # Lists are put into the order of their first items.
        values = [value[0] for value in values if isinstance(value, list | tuple) and value]
