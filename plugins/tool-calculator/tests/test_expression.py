"""What the calculator computes, where it stops, and that nothing else can happen."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction

import pytest
from agentplat_tool_calculator.expression import MAX_LENGTH, MAX_NESTING, evaluate
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentplat import FailureCode, StepError

patiently = settings(deadline=None)  # the machine may be busy; what is measured is the value


def fault(expression: str) -> tuple[int, str]:
    """Position and text of the fault."""
    with pytest.raises(StepError) as caught:
        evaluate(expression)

    failure = caught.value.failure
    assert failure.code is FailureCode.INVALID_INPUT
    assert not failure.retryable
    assert failure.details["pointer"] == "/expression"
    position = failure.details["position"]
    assert isinstance(position, int)
    assert f"at character {position}: " in failure.message
    return position, failure.message


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("\t2\n**\r\n10 ", 1024),
        ("-2**2", -4),
        ("2**-2", 0.25),
        ("2**3**2", 512),
        ("--3", 3),
        ("+-+3", -3),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("7 % -3", -2),
        ("6 / 3", 2),
        (".5 + 1.", 1.5),
        ("1.5e3", 1500),
        ("25E-1", 2.5),
        ("007", 7),
        ("sqrt(16)", 4),
        ("sqrt(2.25)", 1.5),
        ("abs(-3)", 3),
        ("abs(3 - pi)", math.pi - 3),
        ("round(2.5)", 2),
        ("round(pi, 2)", 3.14),
        ("round(1234, -2)", 1200),
        ("min(3, 1, 2) + max(1, 2.5)", 3.5),
        ("max(7)", 7),
        ("log(e)", 1.0),
        ("log(1000, 10)", 3.0),
        ("log(2**10, 2)", 10.0),
        ("log(81, 3)", math.log(81) / math.log(3)),
        ("exp(0) + sin(0) + cos(0) + tan(0)", 2.0),
        ("4**0.5", 2.0),
        ("0 * sin(-1) * -1", 0.0),
    ],
)
def test_an_expression_has_the_value_that_a_reader_expects(expression: str, expected: float) -> None:
    assert evaluate(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0.1 + 0.2", "0.3"),
        ("1/3 + 1/3 + 1/3", "1"),
        ("1.1 * 3", "3.3"),
        ("2**1000 / 2**990", "1024"),
        ("round(2.675, 2)", "2.68"),
        ("10**20 + 1", "100000000000000000001"),
        ("log(10**400, 10)", "400.0"),
    ],
)
def test_what_is_rational_is_exact(expression: str, expected: str) -> None:
    assert repr(evaluate(expression)) == expected


@pytest.mark.parametrize(
    ("expression", "position", "reason"),
    [
        ("", 1, "a number is missing before the end"),
        ("   ", 4, "a number is missing"),
        ("1 +", 4, "a number is missing before the end"),
        ("1 + * 2", 5, "a number is missing before '*'"),
        ("1 2", 3, "an operator is missing before '2'"),
        ("2 pi", 3, "an operator is missing before 'pi'"),
        ("1_000", 2, "an operator is missing"),
        ("0x10", 2, "an operator is missing"),
        ("1,000", 2, "a comma only separates"),
        ("(1", 3, "the parenthesis of character 1 is not closed"),
        ("(1, 2)", 3, "the parenthesis of character 1 is not closed"),
        ("1)", 2, "never opened"),
        ("2 ^ 3", 3, "'^' has no meaning here"),
        ("2 × 3", 3, "'\\xd7' has no meaning here"),
        ("1 + \x00", 5, "'\\x00' has no meaning here"),
        ("1 + \ud800", 5, "'\\ud800' has no meaning here"),
        ("x + 1", 1, "'x' is not known; known are abs"),
        ("__import__(1)", 1, "'__import__' is not known"),
        ("(1).__class__", 4, "'.' has no meaning here"),
        ("'1'", 1, "has no meaning here"),
        ("1 + nan", 5, "'nan' is not known"),
        ("sqrt 4", 6, "a parenthesis is missing after sqrt"),
        ("sqrt()", 6, "a number is missing before ')'"),
        ("sqrt(1, 2)", 1, "sqrt takes 1 arguments, not 2"),
        ("3 + log(1, 2, 3)", 5, "log takes 1 to 2 arguments, not 3"),
        ("1 / 0", 3, "division by zero"),
        ("1 // (2 - 2)", 3, "division by zero"),
        ("1.5 % 0", 5, "division by zero"),
        ("pi / 0", 4, "division by zero"),
        ("0 ** -1", 3, "division by zero"),
        ("(-8) ** (1/3)", 6, "not a real number"),
        ("sqrt(-1)", 1, "not a real number"),
        ("log(0)", 1, "logarithm of zero"),
        ("log(2, 1)", 1, "base of a logarithm"),
        ("log(2, 1 + 1/10**400)", 1, "too close to 1"),
        ("exp(1000)", 1, "too large"),
        ("1e300 * e * 1e300", 11, "too large"),
        ("pi * 10**400", 4, "too large"),
        ("pi * 10**-400", 4, "too close to zero"),
        ("1 / 10**400", 1, "too close to zero"),
        ("round(1, 0.5)", 1, "digits to round to"),
        ("round(1, 10**9)", 1, "digits to round to"),
        ("round(cos(0) * 1.7976931348623157e308, -299)", 1, "too large"),
        ("10**300", 1, "more than 300 digits"),
        ("1e999999999999", 1, "more than 1000 digits"),
        ("1e-999999999999", 1, "more than 1000 digits"),
        ("10**999 * 10", 9, "more than 1000 digits"),
    ],
)
def test_a_fault_names_the_place_and_the_reason(expression: str, position: int, reason: str) -> None:
    at, message = fault(expression)

    assert position == at
    assert reason in message


@pytest.mark.parametrize("expression", ["9**9**7", "9**9**9**9", "(1/9)**9**9", "2**-(10**30)", "7.3**1e300"])
def test_an_enormous_power_is_refused_before_it_is_computed(expression: str) -> None:
    # Computing any of these would take longer than the test suite's time limit, or all memory.
    assert "the power has more than 1000 digits" in fault(expression)[1]


def test_one_and_zero_may_have_any_power() -> None:
    assert evaluate("1**10**999 + 0**10**999 + (-1)**(10**999 + 1)") == 0


def test_length_and_nesting_are_bounded() -> None:
    assert evaluate("1" + "+1" * ((MAX_LENGTH - 1) // 2)) == MAX_LENGTH // 2
    assert "longer than" in fault("1" * (MAX_LENGTH + 1))[1]
    assert evaluate("(" * (MAX_NESTING - 1) + "1" + ")" * (MAX_NESTING - 1)) == 1
    for deep in ("(" * 400 + "1" + ")" * 400, "-" * 900 + "1", "1**" * 300 + "1", "abs(" * 150 + "1" + ")" * 150):
        assert f"nested deeper than {MAX_NESTING} levels" in fault(deep)[1]


def binary(operands: st.SearchStrategy[str], operators: list[str]) -> st.SearchStrategy[str]:
    return st.tuples(operands, st.sampled_from(operators), operands).map(lambda parts: f"({' '.join(parts)})")


integers = st.integers(min_value=0, max_value=10**9).map(str)
integer_expressions = st.recursive(
    integers | st.builds("({}) ** {}".format, integers, st.integers(0, 5)),
    lambda inner: binary(inner, ["+", "-", "*", "//", "%"]) | inner.map("-{}".format) | inner.map("abs({})".format),
    max_leaves=12,
)
decimals = st.decimals(min_value=0, max_value=10**6, places=3).map(str)
decimal_expressions = st.recursive(
    decimals,
    lambda inner: (
        binary(inner, ["+", "-", "*", "/", "//", "%"]) | st.builds("round({}, {})".format, inner, st.integers(-3, 3))
    ),
    max_leaves=10,
)
floats = st.builds(
    "{}({})".format, st.sampled_from(["sin", "cos", "tan", "exp"]), st.integers(-600, 600)
) | st.sampled_from(["pi", "e"])
float_expressions = st.recursive(
    floats, lambda inner: binary(inner, ["+", "-", "*", "/", "//", "%"]) | inner.map("-{}".format), max_leaves=10
)


@patiently
@given(integer_expressions)
def test_integers_are_computed_as_python_computes_them(expression: str) -> None:
    try:
        expected = eval(expression)
    except ZeroDivisionError:
        assert "division by zero" in fault(expression)[1]
        return
    if abs(expected) >= 10**300:
        assert "digits" in fault(expression)[1]
        return

    found = evaluate(expression)

    assert expected == found
    assert isinstance(found, int)


@patiently
@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30).filter(bool))
def test_a_quotient_is_the_float_that_python_finds(left: int, right: int) -> None:
    assert left / right == float(evaluate(f"{left} / {right}"))  # a whole one is an exact integer here


@patiently
@given(decimal_expressions)
def test_decimals_are_computed_as_fractions_and_rounded_once(expression: str) -> None:
    exactly = re.sub(r"([0-9]+\.[0-9]+)", r'Fraction("\1")', expression)
    try:
        expected = Fraction(eval(exactly, {"Fraction": Fraction, "round": round}))
    except ZeroDivisionError:
        assert "division by zero" in fault(expression)[1]
        return

    found = evaluate(expression)

    assert (expected if expected.denominator == 1 else float(expected)) == found


@patiently
@given(float_expressions)
def test_floats_are_computed_as_python_computes_them(expression: str) -> None:
    names = {name: getattr(math, name) for name in ("sin", "cos", "tan", "exp", "pi", "e")}
    try:
        expected = eval(expression, names)
    except ZeroDivisionError:
        assert "division by zero" in fault(expression)[1]
        return
    if not math.isfinite(expected):
        assert "too large" in fault(expression)[1]
        return
    try:
        found = evaluate(expression)
    except StepError:
        # Python lets an infinity through and may come back from it (1/inf is 0.0); here it is a fault at once.
        assert "too large" in fault(expression)[1]
        return

    assert expected == found


fragments = st.sampled_from(
    [
        *"0123456789.+-*/%(),eE _^x\x00\n",
        "**",
        "//",
        "sqrt(",
        "log(",
        "exp(",
        "round(",
        "min(",
        "pi",
        "e9",
        "1e99",
        "9**9",
    ]
)


@patiently
@given(st.text(max_size=60) | st.lists(fragments, max_size=40).map("".join))
@example("9**9**9**9**9")
@example("\ud800")
def test_any_text_gives_a_number_that_can_be_kept_or_a_typed_failure(expression: str) -> None:
    try:
        found = evaluate(expression)
    except StepError:
        fault(expression)
        return

    assert type(found) in {int, float}
    assert found == json.loads(json.dumps(found, allow_nan=False))
    assert abs(found) < 10**309
