"""Expressions and values that were made to exhaust, crash or escape the evaluator.

They are evaluated in a process of their own whose memory and processor time the operating system limits: one that is
not bounded kills it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from agentplat.language.expressions import ExpressionEngine, ExpressionError

EVALUATOR = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
from agentplat.language.expressions import ExpressionEngine, ExpressionError

scope = {"input": {
    "numbers": list(range(150_000)), "text": 'q"\\\\' * 250_000, "map": {str(i): i for i in range(60_000)},
    "rows": [{"a": i} for i in range(60_000)], "lists": [[i] for i in range(20_000)], "texts": ["a" * 1000] * 1000,
}}
for source in json.load(sys.stdin):
    try:
        value = ExpressionEngine().render("${{ " + source + " }}", scope)
        print(json.dumps([source, "value", len(json.dumps(value))]), flush=True)
    except ExpressionError as error:
        print(json.dumps([source, error.problem, len(str(error))]), flush=True)
"""

BOMBS = [
    "'%900000000d' | format(1)",
    "'x' * 1000000000",
    "'x' * 99999 * 99999",
    "[0] * 1000000000",
    "3 * [[0] * 100000] * 100000",
    "(0,) * 1000000000",
    "{'a': 1} * 1000000000",
    "input.numbers * 1000000",
    "2 ** 99999999",
    "9 ** 9 ** 9 ** 9",
    "'x' | indent(900000000)",
    "[1] | batch(900000000, 0) | list",
    "[1] | slice(900000000) | list",
    "[1] | tojson(indent=900000000)",
    "[1] | tojson(900000000)",
    "[[1]] | map('tojson', 900000000) | list",
    "[[1]] | map('to' ~ 'json', 900000000) | list",
    "[[[1]]] | map('map', 'tojson', 900000000) | map('list') | list",
    "('b' ~ input.text) | trim(input.text ~ 'b')",
    "[input.text] | map('trim', input.text) | list",
    "input.text | replace('q', '" + "y" * 1500 + "')",
    "input.text | replace('', '" + "y" * 1500 + "')",
    "'aaaaaaaaaa'" + " | replace('a', 'aaaaaaaaaa')" * 60,
    "input.numbers | join('" + "y" * 1500 + "')",
    "input.texts | join(input.text)",
    "input.text | list | join(input.text)",
    "input.text" + " | tojson" * 100,
    "'\"'" + " | tojson" * 190,
    "input.texts" + " | map('tojson')" * 40 + " | list",
    "input.text" + " | urlencode" * 100,
    "input.text" + " | upper | lower" * 90,
    "([" * 9 + "input.text" + "] ~ '')" * 9,
    " ~ ".join(["input.text"] * 20),
    "(" + " + ".join(["input.numbers"] * 9) + ") | string",
    "(" + " + ".join(["input.numbers"] * 9) + ") | sort",
    " + ".join(["input.numbers"] * 20),
    "[" + ", ".join(["input.numbers"] * 20) + "]",
    "[" + ", ".join(["input.text"] * 20) + "] | string",
    "(input.numbers + input.numbers) == (input.numbers + input.numbers)",
    "input.numbers | select('in', input.numbers) | list",
    "input.rows | groupby('a')",
    "input.rows | map(attribute='a.__class__.__mro__') | list",
    "input.lists | unique | list",
    "input.lists | sort | list",
    "input.map | dictsort",
    "input.numbers" + " | sort" * 190,
    "input.rows" + " | sort(attribute='a')" * 50,
    "[" + ", ".join(["input.numbers | max"] * 20) + "]",
    " < ".join(["input.numbers"] * 20),
    "input.lists | select('lt', input.lists) | list",
    "input.numbers | select('lt', 3) | list",
    "1" + " < 1" * 190,
    "(" * 19 + "1" + " < 2)" * 19,
    "0 < (" * 19 + "1" + " < 2) < 3" * 19,
    "input.map ~ input.map ~ input.map",
    "input.text | split('') | list",
    "(" * 300 + "1" + ")" * 300,
    "(" * 20 + "1" + ")" * 20,
    "[" * 100_000,
    "-" * 100_000 + "1",
    "-" * 390 + "1",
    "not " * 100_000 + "1",
    "not " * 399 + "1",
    "1" + " ** 1" * 190,
    "1" + " if 1 else 1" * 90,
    "input" + ".a" * 190,
    "input" + "[0]" * 100_000,
    "1" + " is defined" * 190,
    "1" * 1900,
    "range(99999999)",
    "debug()",
    "namespace(a=1)",
    "dict(a=1)",
    "joiner()",
    "cycler('a')",
    "lipsum(9999)",
    "self",
    "loop",
    "caller()",
    "super()",
    "input | attr('__class__')",
    "input.text.__class__.__base__.__subclasses__()",
    "input.__class__",
    "input['__class__']",
    "input.text['__class__']",
    "input._content",
    "input._watch.missed",
    "input.numbers.append(1)",
    "input.map.clear()",
    "input.text.format(1)",
    "'{0.__class__}' | format(input)",
    "input.items()",
    "import('os')",
    "{% include 'x' %}",
    "''|safe|e",
    "x := 1",
    "lambda: 1",
]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[str, int]]:
    found = subprocess.run(
        [sys.executable, "-c", EVALUATOR], input=json.dumps(BOMBS), capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, (found.returncode, found.stdout[-300:], found.stderr[-2_000:])
    return {source: (outcome, size) for source, outcome, size in map(json.loads, found.stdout.splitlines())}


@pytest.mark.parametrize("source", BOMBS, ids=lambda source: source[:40])
def test_a_hostile_expression_ends_within_bounds(source: str, outcomes: dict[str, tuple[str, int]]) -> None:
    outcome, size = outcomes[source]
    assert outcome in ("value", "syntax", "type", "undefined", "too_costly", "too_large")
    assert size < 2_000_000


@pytest.mark.parametrize("source", BOMBS[BOMBS.index("range(99999999)") :])
def test_nothing_beside_the_scope_is_reached(source: str, outcomes: dict[str, tuple[str, int]]) -> None:
    assert outcomes[source][0] in ("syntax", "undefined", "type")


class Trap:
    """An object of the host: whatever is asked of it is an escape."""

    def __init__(self) -> None:
        self.sprung: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.sprung.append(name)
        return lambda: "escaped"

    def __getitem__(self, key: Any) -> Any:
        self.sprung.append(str(key))
        return "escaped"


@pytest.mark.parametrize(
    "expression", ["input", "input.a", "input.trap", "input.trap.a", "input.trap ~ ''", "[input.trap]"]
)
@pytest.mark.parametrize("nested", [True, False])
def test_a_live_object_is_refused_untouched(expression: str, nested: bool) -> None:
    trap = Trap()
    scope: Any = {"input": {"trap": trap} if nested else trap}
    with pytest.raises(ExpressionError):
        ExpressionEngine().render(f"${{{{ {expression} }}}}", scope)
    assert trap.sprung == []


@pytest.mark.parametrize("value", [b"x", {1, 2}, SimpleNamespace(a=1), lambda: 1, object(), 1j])
def test_what_is_not_json_is_refused(value: Any) -> None:
    for expression in ("input.x", "[input.x]", "input"):
        with pytest.raises(ExpressionError):
            ExpressionEngine().render(f"${{{{ {expression} }}}}", {"input": {"x": value}})


def test_any_mapping_and_any_sequence_of_json_will_do() -> None:
    scope: Any = MappingProxyType({"input": MappingProxyType({"a": ({"b": 1},)})})
    engine = ExpressionEngine()
    assert engine.render("${{ input.a[0].b + 1 }}", scope) == 2
    assert engine.render("${{ input }}", scope) == {"a": [{"b": 1}]}
    assert engine.render("${{ input.a ~ '' }}", scope) == '[{"b": 1}]'


def test_a_value_within_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for expression in ("input", "[input]", "input[0][0] | length and input"):
        with pytest.raises(ExpressionError):
            ExpressionEngine().render(f"${{{{ {expression} }}}}", {"input": loop})


def test_what_an_expression_gives_is_no_deeper_than_can_be_kept() -> None:
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    engine = ExpressionEngine()
    assert engine.render("${{ input }}", {"input": deep}) == deep
    for template in ({"a": "${{ input }}"}, "${{ [input] }}"):
        with pytest.raises(ExpressionError, match="more than 64 levels"):
            engine.render(template, {"input": deep})
