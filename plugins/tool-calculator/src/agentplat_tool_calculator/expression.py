"""Text to number, by a small parser of its own that evaluates while it reads.

    sum     = product { ("+" | "-") product }
    product = unary { ("*" | "/" | "//" | "%") unary }
    unary   = ("+" | "-") unary | power
    power   = atom [ "**" unary ]
    atom    = number | constant | function "(" sum { "," sum } ")" | "(" sum ")"

Precedence and associativity are Python's, so -2**2 is -4 and 2**3**2 is 512.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

from agentplat import FailureCode, StepError
from agentplat_tool_calculator.arithmetic import (
    CONSTANTS,
    FUNCTIONS,
    MAX_DIGITS,
    Number,
    Uncomputable,
    operate,
    to_result,
)

__all__ = ["MAX_LENGTH", "MAX_NESTING", "evaluate"]

MAX_LENGTH = 1000  # characters of an expression
MAX_NESTING = 50  # parentheses, signs and powers within each other

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<number> (?: [0-9]+ (?:\.[0-9]*)? | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? )
      | (?P<name>   [A-Za-z_][A-Za-z0-9_]* )
      | (?P<sign>   \*\* | // | [-+*/%(),] )
      | (?P<end>    \Z )
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, name, sign, end
    text: str
    position: int  # of its first character, counted from 1


def evaluate(expression: str) -> int | float:
    """The value of the expression. Raises StepError `invalid_input`, whose details hold `pointer` and `position`."""
    if len(expression) > MAX_LENGTH:
        raise _fault(MAX_LENGTH + 1, f"it is longer than {MAX_LENGTH} characters")
    reader = _Reader(list(_tokens(expression)))
    value = reader.sum()
    reader.expect_end()
    with _at(1):
        return to_result(value)


def _fault(position: int, reason: str) -> StepError:
    return StepError(
        FailureCode.INVALID_INPUT,
        f"The expression cannot be evaluated, at character {position}: {reason}.",
        details={"pointer": "/expression", "position": position},
    )


@contextmanager
def _at(position: int) -> Iterator[None]:
    """Say where it was that a number could not be computed."""
    try:
        yield
    except Uncomputable as reason:
        raise _fault(position, str(reason)) from None


def _tokens(expression: str) -> Iterator[_Token]:
    at = 0
    while True:
        found = _TOKEN.match(expression, at)
        if found is None:
            rest = expression[at:].lstrip(" \t\r\n")
            raise _fault(len(expression) - len(rest) + 1, f"{rest[0]!a} has no meaning here")
        kind = str(found.lastgroup)
        yield _Token(kind, found[kind], found.start(kind) + 1)
        if kind == "end":
            return
        at = found.end()


class _Reader:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _is(self, *signs: str) -> bool:
        return self._token.kind == "sign" and self._token.text in signs

    @contextmanager
    def _nested(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise _fault(self._token.position, f"it is nested deeper than {MAX_NESTING} levels")
        yield
        self._depth -= 1

    def expect_end(self) -> None:
        token = self._token
        if token.kind == "end":
            return
        if token.kind == "sign" and token.text == ",":
            raise _fault(token.position, "a comma only separates the arguments of a function")
        if token.kind == "sign" and token.text == ")":
            raise _fault(token.position, "this parenthesis was never opened")
        raise _fault(token.position, f"an operator is missing before {_shown(token)}")

    def sum(self) -> Number:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Number:
        return self._chain(("*", "/", "//", "%"), self._unary)

    def _chain(self, signs: tuple[str, ...], operand: Callable[[], Number]) -> Number:
        value = operand()
        while self._is(*signs):
            operator = self._take()
            right = operand()
            with _at(operator.position):
                value = operate(operator.text, value, right)
        return value

    def _unary(self) -> Number:
        with self._nested():
            if not self._is("+", "-"):
                return self._power()
            sign = self._take()
            value = self._unary()
            return -value if sign.text == "-" else value

    def _power(self) -> Number:
        base = self._atom()
        if not self._is("**"):
            return base
        operator = self._take()
        exponent = self._unary()
        with _at(operator.position):
            return operate("**", base, exponent)

    def _atom(self) -> Number:
        token = self._take()
        if token.kind == "number":
            return _number(token)
        if token.kind == "name":
            return self._named(token)
        if token.kind == "sign" and token.text == "(":
            value = self.sum()
            self._close(token)
            return value
        raise _fault(token.position, f"a number is missing before {_shown(token)}")

    def _named(self, name: _Token) -> Number:
        if name.text in CONSTANTS:
            return CONSTANTS[name.text]
        function = FUNCTIONS.get(name.text)
        if function is None:
            known = ", ".join([*FUNCTIONS, *CONSTANTS])
            raise _fault(name.position, f"{_shown(name)} is not known; known are {known}")
        if not self._is("("):
            raise _fault(self._token.position, f"a parenthesis is missing after {name.text}")
        arguments = self._arguments(self._take())
        most = len(arguments) if function.most is None else function.most
        if not function.least <= len(arguments) <= most:
            wanted = str(function.least) if most == function.least else f"{function.least} to {most}"
            raise _fault(name.position, f"{name.text} takes {wanted} arguments, not {len(arguments)}")
        with _at(name.position):
            return function(arguments)

    def _arguments(self, opened: _Token) -> list[Number]:
        arguments = [self.sum()]
        while self._is(","):
            self._take()
            arguments.append(self.sum())
        self._close(opened)
        return arguments

    def _close(self, opened: _Token) -> None:
        if not self._is(")"):
            raise _fault(self._token.position, f"the parenthesis of character {opened.position} is not closed")
        self._take()


def _number(token: _Token) -> Fraction:
    mantissa, _, exponent = token.text.lower().partition("e")
    # Before computing: 1e999999999 is eleven characters and a gigabit.
    if exponent and abs(int(exponent)) > MAX_DIGITS:
        raise _fault(token.position, f"the number has more than {MAX_DIGITS} digits")
    with _at(token.position):
        return Fraction(mantissa) * Fraction(10) ** int(exponent or "0")


def _shown(token: _Token) -> str:
    return "the end" if token.kind == "end" else repr(token.text[:30])
