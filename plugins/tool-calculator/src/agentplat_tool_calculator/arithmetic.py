"""Operations on bounded numbers: rational as long as the result is rational, floating-point from there on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

__all__ = ["CONSTANTS", "FUNCTIONS", "MAX_DIGITS", "Function", "Number", "Uncomputable", "operate", "to_result"]

# A Fraction is exact (0.1 + 0.2 is 0.3); a float is what left the rationals (sqrt(2), pi) and stays a float.
Number: TypeAlias = "Fraction | float"

MAX_DIGITS = 1000  # of any numerator or denominator on the way to the result
MAX_RESULT_DIGITS = 300  # of an integer result: more cannot be kept as JSON by agentplat
MAX_ROUNDING = 300  # digits before or after the point that `round` may be asked for
_LIMIT = 10**MAX_DIGITS
_LIMIT_BITS = _LIMIT.bit_length()

CONSTANTS: Mapping[str, Number] = {"pi": math.pi, "e": math.e}


class Uncomputable(Exception):
    """An operation has no bounded real result; the text says why, in words that follow a position."""


def operate(operator: str, left: Number, right: Number) -> Number:
    """The bounded result of one of `+ - * / // % **`. Raises Uncomputable."""
    if operator in {"/", "//", "%"} and right == 0:
        raise Uncomputable("division by zero")
    if operator == "**":
        return _bounded(_power(left, right))
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _bounded(Fraction(_OPERATIONS[operator](left, right)))
    return _bounded(float(_OPERATIONS[operator](_to_float(left), _to_float(right))))


_OPERATIONS: Mapping[str, Callable[..., Number]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
}


def to_result(value: Number) -> int | float:
    """The number as JSON can hold it: an integer if it is exactly one, else the nearest float. Raises Uncomputable."""
    if isinstance(value, float):
        return value or 0.0  # -0.0 is 0.0 to everybody who reads a result
    if value.denominator != 1:
        return _to_float(value)
    if abs(value.numerator) >= 10**MAX_RESULT_DIGITS:
        raise Uncomputable(f"the result has more than {MAX_RESULT_DIGITS} digits")
    return value.numerator


def _bounded(value: Number) -> Number:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Uncomputable("the result is too large for a floating-point number")
    elif abs(value.numerator) >= _LIMIT or value.denominator >= _LIMIT:
        raise Uncomputable(f"the result needs more than {MAX_DIGITS} digits")
    return value


def _to_float(value: Number) -> float:
    try:
        nearest = float(value)
    except OverflowError:
        raise Uncomputable("the number is too large for a floating-point number") from None
    if nearest == 0.0 and value != 0:
        raise Uncomputable("the number is too close to zero for a floating-point number")
    return nearest


def _power(base: Number, exponent: Number) -> Number:
    if base == 0 and exponent < 0:
        raise Uncomputable("division by zero: zero to a negative power")
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        # Before computing: b**n has at least (bits of b - 1) * n bits. What passes has at most twice the limit.
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if (bits - 1) * abs(exponent.numerator) > _LIMIT_BITS:
            raise Uncomputable(f"the power has more than {MAX_DIGITS} digits")
        return Fraction(base**exponent.numerator)
    base, exponent = _to_float(base), _to_float(exponent)
    if base < 0 and not exponent.is_integer():
        raise Uncomputable("a negative number to a fractional power is not a real number")
    return _floating(math.pow, base, exponent)


def _floating(function: Callable[..., float], *arguments: Number) -> float:
    try:
        return function(*(_to_float(argument) for argument in arguments))
    except OverflowError:
        raise Uncomputable("the result is too large for a floating-point number") from None


def _sqrt(value: Number) -> Number:
    if value < 0:
        raise Uncomputable("the square root of a negative number is not a real number")
    if isinstance(value, Fraction):
        roots = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if (roots[0] ** 2, roots[1] ** 2) == (value.numerator, value.denominator):
            return Fraction(*roots)
    return _floating(math.sqrt, value)


def _log(value: Number, base: Number | None = None) -> float:
    if value <= 0:
        raise Uncomputable("the logarithm of zero or of a negative number is not a real number")
    if base is None:
        return _logarithm(math.log, value)
    if base <= 0 or base == 1:
        raise Uncomputable("the base of a logarithm is positive and not 1")
    # The library's own functions for these bases are exact on exact powers; a quotient of logarithms is not.
    if base == 2:
        return _logarithm(math.log2, value)
    if base == 10:
        return _logarithm(math.log10, value)
    divisor = _logarithm(math.log, base)
    if divisor == 0.0:
        raise Uncomputable("the base of the logarithm is too close to 1")
    return _logarithm(math.log, value) / divisor


def _logarithm(function: Callable[[int | float], float], value: Number) -> float:
    # An integer may be larger than any float and still have a logarithm.
    whole = isinstance(value, Fraction) and value.denominator == 1
    return function(int(value) if whole else _to_float(value))


def _round(value: Number, digits: Number | None = None) -> Number:
    if digits is None:
        return Fraction(round(value))
    if digits != (places := int(digits)) or abs(places) > MAX_ROUNDING:
        raise Uncomputable(f"the digits to round to are an integer between -{MAX_ROUNDING} and {MAX_ROUNDING}")
    if isinstance(value, Fraction):
        return round(value, places)
    return _floating(lambda number: round(number, places), value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function and how many arguments it takes; `most` None means any number."""

    least: int
    most: int | None
    apply: Callable[..., Number]

    def __call__(self, arguments: Sequence[Number]) -> Number:
        """The bounded result; the caller has counted the arguments. Raises Uncomputable."""
        return _bounded(self.apply(*arguments))


def _one(function: Callable[[float], float]) -> Function:
    return Function(least=1, most=1, apply=lambda value: _floating(function, value))


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(least=1, most=1, apply=abs),
    "cos": _one(math.cos),
    "exp": _one(math.exp),
    "log": Function(least=1, most=2, apply=_log),
    "max": Function(least=1, most=None, apply=lambda *values: max(values)),
    "min": Function(least=1, most=None, apply=lambda *values: min(values)),
    "round": Function(least=1, most=2, apply=_round),
    "sin": _one(math.sin),
    "sqrt": Function(least=1, most=1, apply=_sqrt),
    "tan": _one(math.tan),
}
