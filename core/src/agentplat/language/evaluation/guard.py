"""The source of an expression as minijinja is given it: with the questions put in that it would not ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from agentplat.language.evaluation.ordering import Unlike
from agentplat.language.evaluation.tokens import BRACKETS, OPERATORS, Token, arguments, names_filter_or_test

ALIKE = "_alike"
"""The filter that refuses a list of what has no order."""
ORDERING_FILTERS = frozenset({"sort", "min", "max", "dictsort"})

MAX_GUARDED = 20_000
"""Characters of one comparison."""

_TESTS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_COMPARISONS = frozenset({*_TESTS, "==", "!="})
_SEPARATORS = frozenset({",", "=", ":"})


@dataclass(slots=True)
class _Level:
    """What is inside of one pair of brackets: `a < b` or `a < b <= c`, when something is compared there."""

    start: int  # the piece with which the first operand begins
    signs: list[int] = field(default_factory=list)  # the pieces that are the signs between operands
    factor: bool = False  # whether this is the right operand of a `*`


def guarded(source: str, offset: int, tokens: Sequence[Token]) -> str:
    """`a * b` becomes `a ** 1 * b ** 1`, which only numbers survive: repeated lists are neither metered nor small.

    `a < b` becomes `(a) is lt(b)`, and `a | sort` becomes `a | _alike | sort`; `null` becomes `none`.
    """
    pieces: list[str] = []
    position = 0
    levels = [_Level(0)]
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        pieces.append(source[position : token.offset - offset])
        position = token.offset - offset + len(token.text)
        level, role = levels[-1], _role(tokens, index)
        is_times = token.text == "*" and token.kind == "mark"
        if is_times or (level.factor and _ends_factor(token, before)):
            pieces.append(" ** 1 ")
            level.factor = False
        if role in ("closes", "separates"):
            _order(pieces, level)
        pieces.append(_written(tokens, index))
        if role == "opens":
            levels.append(_Level(len(pieces)))
        elif role == "closes":
            levels.pop()
        elif role == "separates":
            level.start, level.signs = len(pieces), []
        elif role == "compares":
            level.signs.append(len(pieces) - 1)
        elif is_times:
            level.factor = True
    pieces.append(source[position:] + (" ** 1" if levels[-1].factor else ""))
    _order(pieces, levels[-1])
    return "".join(pieces)


def _order(pieces: list[str], level: _Level) -> None:
    """Lead what was compared on this level to the tests that refuse unlike values; `a < b < c` is two comparisons."""
    signs = [pieces[at] for at in level.signs]
    if not any(sign in _TESTS for sign in signs):
        return
    bounds = [level.start - 1, *level.signs, len(pieces)]
    operands = ["".join(pieces[first + 1 : last]) for first, last in pairwise(bounds)]
    said = [
        f"({one}) is {_TESTS[sign]}({other})" if sign in _TESTS else f"({one}) {sign} ({other})"
        for sign, (one, other) in zip(signs, pairwise(operands), strict=True)
    ]
    if sum(map(len, said)) > MAX_GUARDED:  # what is between two signs is written twice, again and again within itself
        raise Unlike("it compares in chains of chains; join the comparisons by `and`")
    pieces[level.start :] = [said[0] if len(said) == 1 else f"({' and '.join(said)})"]


def _role(tokens: Sequence[Token], index: int) -> str | None:
    """What the token does to the operands of comparisons around it."""
    token, before = tokens[index], tokens[index - 1] if index else None
    if token.kind == "mark":
        if token.text in BRACKETS.values():
            return "opens"
        if token.text in BRACKETS:
            return "closes"
        return "compares" if token.text in _COMPARISONS else "separates" if token.text in _SEPARATORS else None
    is_word = token.kind == "word" and token.text in OPERATORS - {"is"}
    if not is_word or (before is not None and before.text in (".", "is")) or names_filter_or_test(tokens, index):
        return None
    if token.text == "in":
        return None if _is_not_in(tokens, index) else "compares"
    return "compares" if _is_not_in(tokens, index + 1) else "separates"


def _is_not_in(tokens: Sequence[Token], index: int) -> bool:
    """Whether this is the `in` of `a not in b`."""
    if not 1 < index < len(tokens) or tokens[index].text != "in" or tokens[index - 1].text != "not":
        return False
    return tokens[index - 2].ends_value


def _written(tokens: Sequence[Token], index: int) -> str:
    """The token, with the check of what a filter puts into an order before it."""
    token, before = tokens[index], tokens[index - 1] if index else None
    if token.kind == "word" and _is_not_in(tokens, index):
        return ""
    if token.kind == "word" and _is_not_in(tokens, index + 1) and token.text == "not":
        return "not in"
    if token.kind == "word" and token.text == "null" and (before is None or before.text != "."):
        return "none"
    if token.kind != "word" or before is None or before.text != "|":
        return token.text
    if token.text in ORDERING_FILTERS:
        told = " ".join(part.text for part in arguments(tokens, index + 1))
        return f"{ALIKE}{told} | {token.text}"
    applied = tokens[index + 2].text[1:-1] if token.text == "map" and len(tokens) > index + 2 else ""
    return f"map('{ALIKE}') | map" if applied in ORDERING_FILTERS else token.text


def _ends_factor(token: Token, before: Token | None) -> bool:
    if token.kind == "word":
        return token.text in OPERATORS and before is not None and before.ends_value
    is_binary = before is not None and before.ends_value
    return token.kind == "mark" and is_binary and token.text not in (".", "|", "**", "(", "[", "{", "=")
