from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import minijinja
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentplat.domain.failure import FailureCode
from agentplat.domain.json import JsonValue
from agentplat.language import expressions
from agentplat.language.expressions import MAX_COMPUTED, MAX_OUTPUT, MAX_TEXT, ExpressionEngine, ExpressionError
from agentplat.language.syntax import FILTERS, TESTS

ENGINE = ExpressionEngine()
SCOPE: dict[str, JsonValue] = {
    "input": {
        "topic": "<é> & 'q'",
        "count": 3,
        "ratio": 1.0,
        "huge": 10**40,
        "tags": ["a", "b"],
        "rows": [{"n": 2, "ok": True}, {"n": 1, "ok": False}],
        "items": "not a method",
        "nothing": None,
        "deep": {"a": {"b": [10, 20]}},
    },
    "steps": {"draft": {"output": {"text": "${{ input.topic }} {{ x }}", "score": 0.95}, "status": "succeeded"}},
    "iteration": 2,
}


def render(template: JsonValue) -> Any:
    return ENGINE.render(template, SCOPE)


def problem(template: JsonValue) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        render(template)
    return caught.value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("input.topic", "<é> & 'q'"),
        ("input.ratio", 1.0),
        ("input.huge", 10**40),
        ("input.items", "not a method"),
        ("input.nothing", None),
        ("input['deep'].a.b[1]", 20),
        ("input.deep.a.b.0", 10),
        ("input.tags[-1]", "b"),
        ("input.topic[1]", "é"),
        ("iteration", 2),
        ("6 * 7", 42),
        ("input.count * 2 + 1", 7),
        ("2 * input.rows|length", 4),
        ("input.count ** 2 * 3", 27),
        ("-input.count * -2", 6),
        ("7 // 2", 3),
        ("1 / 2", 0.5),
        ("steps.draft.output.score >= 0.9 and input.count == 3", True),
        ("not input.tags", False),
        ("'a' in input.tags", True),
        ("'zz' in input", False),
        ("input.count if input.count > 2 else 0", 3),
        ("[input.tags, {'n': input.count}]", [["a", "b"], {"n": 3}]),
        ("input.tags + ['c']", ["a", "b", "c"]),
        ("input.topic ~ '!'", "<é> & 'q'!"),
        ("input.tags | join(', ') | upper", "A, B"),
        ("input.rows | map(attribute='n') | sort", [1, 2]),
        ("input.rows | selectattr('ok') | map(attribute='n') | first", 2),
        ("input.tags | map('upper') | list", ["A", "B"]),
        ("input.tags | tojson", '["a", "b"]'),
        ("input.rows | selectattr('missing') | list", []),
        ("input.deep | items | list", [["a", {"b": [10, 20]}]]),
        ("input.deep == {'a': {'b': [10, 20]}}", True),
        ("input.deep == {'x': 1}", False),
        ("input.rows[0] == input.rows[0]", True),
        ("null", None),
        ("none == null", True),
        ("'null'", "null"),
        ("'[1, 2]'", "[1, 2]"),
        ("'0x10'", "0x10"),
        ("{'a': {'b': 1}}.a.b", 1),
        ("input.missing | default('none')", "none"),
        ("input.missing is defined", False),
        ("9223372036854775807 + 1", 2**63),
    ],
)
def test_a_lone_expression_keeps_its_type(expression: str, value: JsonValue) -> None:
    for written in (f"${{{{ {expression} }}}}", f"${{{{{expression}}}}}"):
        found = render(written)
        assert found == value
        assert type(found) is type(value)
    assert ENGINE.evaluate(expression, SCOPE) == value


def test_an_embedded_expression_gives_text() -> None:
    assert render("n=${{ input.count }}, t=${{ input.topic }}.") == "n=3, t=<é> & 'q'."
    assert render("${{ input.tags }} ${{ true }} ${{ null }} ${{ input.ratio }}") == '["a", "b"] true null 1.0'
    assert render("${{ input.count }}${{ input.count }}") == "33"
    assert render(" ${{ input.count }}") == " 3"


def test_a_template_is_walked_and_its_keys_are_not() -> None:
    template: JsonValue = {"a": ["${{ input.count }}", 1, None, {"${{ input.count }}": "${{ input.tags }}"}], "b": True}
    assert render(template) == {"a": [3, 1, None, {"${{ input.count }}": ["a", "b"]}], "b": True}


@pytest.mark.parametrize("text", ["", "plain", "{{ input }}", "{% for x in y %}", "{# no #}", "$ {{ x }}", "# ## }}"])
def test_text_without_an_expression_is_untouched(text: str) -> None:
    assert render(text) == text


def test_a_result_is_never_read_as_an_expression() -> None:
    assert render("${{ steps.draft.output.text }}") == "${{ input.topic }} {{ x }}"
    assert render("x ${{ steps.draft.output.text }}") == "x ${{ input.topic }} {{ x }}"
    assert render("${{ '${{ input.topic }}' }}") == "${{ input.topic }}"
    assert render("${{ '}}' ~ '${{' }}") == "}}${{"


def test_a_result_is_a_copy() -> None:
    rows = render("${{ input.rows }}")
    rows[0]["n"] = 99
    computed = render("${{ [input.rows] }}")
    computed[0].append(1)
    assert render("${{ input.rows }}") == [{"n": 2, "ok": True}, {"n": 1, "ok": False}]


@pytest.mark.parametrize(
    ("expression", "undefined"),
    [
        ("input.topc", "input.topc"),
        ("input.deep.x.y", "input.deep.x"),
        ("input.tags[7]", "input.tags[7]"),
        ("inptu", "inptu"),
        ("input.topc ~ 'x'", "input.topc"),
        ("input.topc | length", "input.topc"),
        ("[input.topc]", "input.topc"),
        ("input.topc == 3", "input.topc"),
        ("1 if input.topc else 2", "input.topc"),
        ("input.rows | map(attribute='m') | list", "input.rows[0].m"),
        ("input.keys", "input.keys"),
        ("input.deep.items", "input.deep.items"),
        ("input.topc | default(input.tpoc)", "input.topc"),
        ("1 if false", "1 if false"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_it(expression: str, undefined: str) -> None:
    error = problem(f"${{{{ {expression} }}}}")
    assert (error.problem, error.undefined) == ("undefined", undefined)
    assert undefined in str(error)


def test_an_error_is_a_permanent_failure_of_the_input() -> None:
    failure = problem("${{ input.topc }}").failure
    assert (failure.code, failure.retryable) == (FailureCode.INVALID_INPUT, False)
    assert (
        failure.message
        == "`${{ input.topc }}` cannot be evaluated: `input.topc` is not defined (did you mean `topic`?)."
    )
    assert failure.details == {"problem": "undefined", "expression": "input.topc", "undefined": "input.topc"}


@pytest.mark.parametrize(
    ("expression", "kind", "words"),
    [
        ("1 +", "syntax", "unexpected end"),
        ("", "syntax", "is empty"),
        ("(1", "syntax", "closes no bracket"),
        ("1)", "syntax", "`)` closes no bracket"),
        ("input.tags | trim('a')", "syntax", "`trim` takes no arguments"),
        ("input.tags | map('join', ',')", "syntax", "an attribute or the name of a filter"),
        ("input.tags | map(input.topic)", "syntax", "an attribute or the name of a filter"),
        ("'a", "syntax", "never closed"),
        ("a && b", "syntax", "write `and`"),
        ("a || b", "syntax", "write `or`"),
        ("input.topic.upper()", "syntax", "use a filter"),
        ("range(3)", "syntax", "use a filter"),
        ("1 | nope", "type", "filter nope is unknown"),
        ("1 is nope", "type", "test nope is unknown"),
        ("1 / 0", "type", "unable to calculate 1 / 0"),
        ("1e308 * 10", "type", "a number that JSON cannot express"),
        ("'\\0'", "type", "U+0000"),
        ("'a' * 3", "type", "tried to use * operator on unsupported types string and number"),
        ("input.topic | int", "type", "invalid"),
    ],
)
def test_an_expression_that_cannot_be_evaluated_says_why(expression: str, kind: str, words: str) -> None:
    error = problem(f"${{{{ {expression} }}}}")
    assert error.problem == kind
    assert words in str(error)


def test_a_condition_is_true_as_in_python() -> None:
    assert ENGINE.truth("input.tags", SCOPE)
    assert ENGINE.truth("${{ steps.draft.status == 'succeeded' }}", SCOPE)
    assert not any(ENGINE.truth(text, SCOPE) for text in ("false", "0", "''", "[]", "{}", "null", "input.nothing"))


@pytest.mark.parametrize("text", ["${{ 1 }} ${{ 2 }}", "x ${{ 1 }}", "${{ 1 }} and ${{ 2 }}"])
def test_a_condition_is_one_expression(text: str) -> None:
    with pytest.raises(ExpressionError, match="one expression is expected"):
        ENGINE.truth(text, SCOPE)


def test_the_names_of_a_template_are_those_that_it_mentions() -> None:
    template: JsonValue = {
        "a": "${{ input.steps | map(attribute='signals') | default(task.id, true) }}",
        "b": ["x ${{ steps['a'].output is not defined }} {{ item }}", {"c": "${{ 'iteration' in {'k': last} }}"}],
    }
    assert ENGINE.names(template) == {"input", "task", "steps", "last"}
    assert ENGINE.names_of("not input.a or null") == {"input"}
    assert ENGINE.names("plain") == frozenset()


def test_only_what_is_mentioned_is_looked_at() -> None:
    class Untouchable(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise AssertionError(key)

    scope = {"input": {"a": 1, "b": Untouchable(x=1)}, "steps": Untouchable(x=1)}
    assert ENGINE.render("${{ input.a + 1 }} ${{ input.a }}", scope) == "2 1"


def test_what_a_template_may_give_is_bounded() -> None:
    scope: dict[str, JsonValue] = {"input": {"text": "x" * 200_000}}
    assert len(str(ENGINE.render("${{ input.text }}", scope))) == 200_000
    with pytest.raises(ExpressionError, match=f"more than {MAX_TEXT} characters"):
        ENGINE.render("${{ input.text }}${{ input.text }}", scope)
    with pytest.raises(ExpressionError, match=f"more than {MAX_OUTPUT} characters"):
        ENGINE.render(["${{ input.text }}"] * 6, scope)
    with pytest.raises(ExpressionError, match=f"at most {MAX_COMPUTED} expressions"):
        ENGINE.render(["${{ 1 + 1 }}"] * (MAX_COMPUTED + 1), scope)


def test_no_more_and_no_other_filters_and_tests_are_there_than_the_compiler_knows() -> None:
    environment = expressions._environment(1_000)
    raw = minijinja.Environment()
    for name in FILTERS:
        assert raw.eval_expr("name is filter", name=name), name
    for name in TESTS:
        assert raw.eval_expr("name is test", name=name), name
    for name in [*expressions._SUPERFLUOUS_FILTERS.split(), "center", "forceescape", "string_repeat"]:
        with pytest.raises(minijinja.TemplateError, match="unknown"):
            environment.eval_expr(f"1|{name}")
    assert environment.globals == {}


NUMBERS = st.one_of(st.integers(0, 99).map(str), st.sampled_from(["1.5", "0.25", "input.count", "(input.ratio)"]))
OPERATORS = st.sampled_from(["*", "+", "-", "**", " * ", "* -", "~", "<", "==", "and", "or", "/"])


@st.composite
def arithmetic(draw: st.DrawFn, depth: int = 2) -> str:
    parts = [draw(NUMBERS)]
    for _ in range(draw(st.integers(1, 4))):
        operand = f"({draw(arithmetic(depth=depth - 1))})" if depth and draw(st.booleans()) else draw(NUMBERS)
        if draw(st.booleans()):
            operand = draw(st.sampled_from(["{}|abs", "-{}", "[{}][0]", "[1, {}]|last", "{{'a': {}}}.a"])).format(
                operand
            )
        parts += [f" {draw(OPERATORS)} ", operand]
    return "".join(parts)


@given(arithmetic())
def test_guarding_multiplication_changes_no_number(source: str) -> None:
    raw = minijinja.Environment(undefined_behavior="strict")
    expected, found = (
        attempt(lambda: raw.eval_expr(f"({source})|tojson", **SCOPE)),
        attempt(lambda: json.dumps(ENGINE.evaluate(source, SCOPE))),
    )
    if isinstance(found, str) and isinstance(expected, str):
        assert json.loads(found) == json.loads(expected)
    elif isinstance(found, Exception) and isinstance(expected, str):
        # Texts are no factors here, sums are counted, and numbers without an end are told from null.
        # Neither is a text smaller than a number.
        known = ("operator on unsupported types", "adds more", "it compares", "in chains")
        assert any(words in str(found) for words in known) or expected == "null"
    else:
        assert isinstance(found, ExpressionError)


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> str:
    """Comparisons of numbers with numbers, wherever they may stand."""
    numbers = st.one_of(NUMBERS, st.sampled_from(["2 * 3 + 1", "[4, 7] | max", "input.tags | length", "-input.count"]))
    one, other = draw(numbers), draw(numbers)
    found = f"{one} {draw(st.sampled_from(['<', '<=', '>', '>=']))} {other}"
    if depth:
        inner = draw(conditions(depth=depth - 1))
        shapes = [
            "{} and {}",
            "{} or {}",
            "not {} and not {}",
            "({}) == ({})",
            "[1, {}, {}] | last",
            "({}) if ({}) else 0",
        ]
        shapes += ["1 in [{}, {}]", "({}) not in [{}]", "{{'a': {}, 'b': {}}}.b", "{} == true or {}"]
        shapes += [
            "(1 if ({}) else {})",
            "input.missing | default({}) or {}",
            "({}) | int < 3 or {}",
            "1 < 2 < 3 and {} or {}",
        ]
        shapes += ["1 < {} or {}", "{} not in [true] or {}"]
        found = draw(st.sampled_from(shapes)).format(found, inner)
    return found


@given(conditions())
def test_guarding_comparisons_changes_none_of_numbers(source: str) -> None:
    raw = minijinja.Environment(undefined_behavior="strict")
    expected = attempt(lambda: raw.eval_expr(f"({source})|tojson", **SCOPE))
    assert isinstance(expected, str), source
    assert json.dumps(ENGINE.evaluate(source, SCOPE)) == json.dumps(json.loads(expected))


UNLIKE: dict[str, JsonValue] = {
    "the text": "0.3",
    "the number": 0.9,
    "true": True,
    "null": None,
    "a list": [0],
    "a map": {"a": 0},
}


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
@pytest.mark.parametrize(("left", "right"), [(one, other) for one in UNLIKE for other in UNLIKE if one != other])
def test_values_of_different_kinds_have_no_order(left: str, right: str, sign: str) -> None:
    scope: dict[str, JsonValue] = {"input": {"a": UNLIKE[left], "b": UNLIKE[right]}}
    with pytest.raises(ExpressionError) as caught:
        ENGINE.truth(f"input.a {sign} input.b", scope)
    assert (caught.value.problem, caught.value.failure.code) == ("type", FailureCode.INVALID_INPUT)
    assert all(words in str(caught.value) for words in (left, right, f"input.a {sign} input.b"))


@pytest.mark.parametrize(
    "expression",
    [
        "1 < 2 < 'a'",
        "3 in [3] < 4",
        "3 > 2 == 2 < 'a'",
        "true and (1 if 'a' < 1 else 2)",
        "false or not 'a' < 1 and true",
        "[[{'a': 1 < 'a'}]]",
        "input.missing | default(1 < 'a')",
        "input.tags[('a' < 1) | int]",
        "1 == 1 < '2'",
        "'a' in ['a'] < 2",
        "'a' not in ['b'] < 2",
        "2 * 3 < 'a' ~ 'b'",
        "3 is lt('a')",
        "3 is not ge('a')",
        "[1, 'a'] | select('lt', 2) | list",
        "[1, 'a'] | reject('>', 2) | list",
        "[{'n': 1}, {'n': 'a'}] | selectattr('n', 'greaterthan', 2) | list",
        "[1, 'a'] | sort",
        "[1, null] | min",
        "[1, [1]] | max",
        "[[1, 'a']] | map('max') | list",
        "[[1, 'a']] | map('sort') | list",
        "input.rows | sort(attribute='ok', reverse=true) | map(attribute='n') | sort and 1 < 'a'",
        "[{'a': {'b': 1}}, {'a': {'b': 'x'}}] | sort(attribute='a.b')",
        "[{'a': 1, 'b': 1}, {'a': 1, 'b': 'x'}] | sort(reverse=false, attribute='a,b')",
        "[{'n': 1}, {'n': 'a'}] | sort(attribute=input.by)",
        "{'a': 1, 'b': 'x'} | dictsort(by='value')",
        "[1] < ['a']",
        "[[1], ['a']] | sort",
        "input.rows < input.rows[:1] or input.rows[0] < input.rows[1]",
        "input.rows | sort",
    ],
)
def test_no_place_in_an_expression_lets_unlike_values_be_compared(expression: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        ENGINE.evaluate(expression, {**SCOPE, "input": {**SCOPE["input"], "by": "n"}})  # type: ignore[dict-item]
    assert caught.value.problem == "type"
    assert "it compares" in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'a' < 'b' and 'b' >= 'b'", True),
        ("3 >= 2.5 and 1 <= 1.0", True),
        ("input.tags < ['a', 'c']", True),
        ("input.tags >= ['a']", True),
        ("false < true", True),
        ("null <= null", True),
        ("null < null", False),
        ("1 == 'a' or null != 2", True),
        ("1 < 3 < 2", False),
        ("1 < 2 <= 2 != 3 not in [4]", True),
        ("5 < 2 < 'a'", False),
        ("1 < (3 if 1 < 2 else 0) < 4", True),
        ("input.rows | sort(attribute='n') | map(attribute='n') | list", [1, 2]),
        ("input.rows | map(attribute='n') | max", 2),
        ("[['b', 1], ['a', 'x']] | sort", [["a", "x"], ["b", 1]]),
        ("{'b': 1, 'a': 'x'} | dictsort", [["a", "x"], ["b", 1]]),
        ("[] | sort", []),
        ("['b', 'A'] | sort(case_sensitive=true)", ["A", "b"]),
        ("[3, 5] | select('<', 4) | list", [3]),
        ("{'not': 1, 'in': 2}.not < {'in': 2}.in", True),
    ],
)
def test_values_of_one_kind_are_compared_as_ever(expression: str, value: JsonValue) -> None:
    assert ENGINE.evaluate(expression, SCOPE) == value


def test_a_chain_within_a_chain_within_a_chain_is_refused_at_last() -> None:
    assert ENGINE.evaluate("0 < (1 < 2) | int < 2 and (1 < 2 < 3) | int < 2", SCOPE)
    nested = "1"
    for _ in range(15):
        nested = f"0 < ({nested} < 2) < 2"
    with pytest.raises(ExpressionError, match="compares in chains of chains"):
        ENGINE.evaluate(nested, SCOPE)


def test_an_order_by_something_computed_is_refused() -> None:
    with pytest.raises(ExpressionError, match="`sort` takes names and paths only"):
        ENGINE.evaluate("input.rows | sort(attribute=('n' | upper))", SCOPE)


def attempt(evaluate: Callable[[], object]) -> str | Exception:
    try:
        return str(evaluate())
    except (ExpressionError, minijinja.TemplateError) as error:
        return error


@given(st.text(max_size=60) | st.text(alphabet="input.steps${}[]()|'\" +-*~,:01", max_size=80))
def test_any_text_is_evaluated_or_refused(text: str) -> None:
    for template in (text, f"${{{{ {text} }}}}"):
        found = attempt(partial(render, template))
        assert isinstance(found, str) or (isinstance(found, ExpressionError) and not found.failure.retryable)
