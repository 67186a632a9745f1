"""Texts with `${{ }}` in them: where the expressions are, what they mention, and what of them may be evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias, cast

from agentplat.language.evaluation.guard import ORDERING_FILTERS, guarded
from agentplat.language.evaluation.tokens import BRACKETS, OPERATORS, Kind, Token, arguments, names_filter_or_test

OPEN, CLOSE = "${{", "}}"
MAX_LENGTH = 2_000
"""Characters of one expression. Together with the other limits it keeps the parser's recursion far from its stack."""
MAX_TOKENS = 400
MAX_NESTING = 20
MAX_MENTIONS = 20
"""How often one expression may name something of the scope: what it can build is at most that many times its input."""
MAX_PLUS = 8
"""How often one expression may add: sums of lists are made of their parts, which nothing meters until they are read."""

_FILTERS = (
    "abs bool capitalize count d default dictsort first float groupby int items join last length lines list lower map"
    " max min reject rejectattr replace reverse round select selectattr sort split string sum title tojson trim"
    " truncate unique upper urlencode"
)
_TESTS = (
    "boolean defined divisibleby endingwith eq equalto even false float ge greaterthan gt in int integer iterable le"
    " lessthan lower lt mapping ne none number odd sequence startingwith string true undefined upper"
)
FILTERS = frozenset(_FILTERS.split())
TESTS = frozenset(_TESTS.split())
_CONSTANTS = frozenset({"true", "false", "none", "null", "True", "False", "None"})
_OTHER_LANGUAGES = {"&": "and", "|": "or", "!": "not", "?": "x if condition else y"}
# Where a missing value is asked for on purpose, so that not finding one is no mistake.
_MAY_MISS = frozenset({"d", "default", "defined", "undefined", "in", "selectattr", "rejectattr", "{"})

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<mark>\*\*|//|==|!=|<=|>=|[-+*/%~<>=|.,:()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
# With arguments these take space (an indent) or time (characters to trim) that nothing meters.
_WITHOUT_ARGUMENTS = frozenset({"tojson", "trim"})
_OF_PLAIN_ARGUMENTS = frozenset({".", "[", "]", ",", "=", ")"})
_INDEX = re.compile(r"[0-9]+")

PathPart: TypeAlias = str | int


class Malformed(Exception):
    """`offset` counts characters from the start of the text in which the expression stands."""

    def __init__(self, offset: int, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.offset, self.text, self.hint = offset, text, hint


@dataclass(frozen=True)
class Mention:
    """A name of the scope and the attributes that follow it: `steps.draft.output` is steps, (draft, output)."""

    root: Token
    path: tuple[Token, ...]


@dataclass(frozen=True)
class Expression:
    """`offset` and those of the tokens count from the start of the text in which it stands."""

    source: str
    offset: int
    tokens: tuple[Token, ...]

    @cached_property
    def mentions(self) -> tuple[Mention, ...]:
        return tuple(_mentions(self.tokens))

    @cached_property
    def roots(self) -> frozenset[str]:
        return frozenset(mention.root.text for mention in self.mentions)

    @cached_property
    def path(self) -> tuple[PathPart, ...] | None:
        """`("input", "urls", 0)` of `input.urls[0]`; None of what has to be computed."""
        return _path(self.tokens)

    @cached_property
    def asks_for_missing(self) -> bool:
        return any(token.text in _MAY_MISS for token in self.tokens if token.kind != "text")

    @cached_property
    def guarded(self) -> str:
        """The source for the evaluator."""
        return guarded(self.source, self.offset, self.tokens)


Piece: TypeAlias = str | Expression


def split(text: str) -> Sequence[Piece]:
    """The text's literal pieces and its expressions, in order. Raises Malformed."""
    return _split_short(text) if len(text) <= MAX_LENGTH else _split(text)


def _split(text: str) -> list[Piece]:
    pieces: list[Piece] = []
    position = 0
    while (start := text.find(OPEN, position)) >= 0:
        if start > position:
            pieces.append(text[position:start])
        inner = start + len(OPEN)
        tokens, end = _scan(text, inner, start)
        pieces.append(_expression(text, inner, end, tokens))
        position = end + len(CLOSE)
    if position < len(text):
        pieces.append(text[position:])
    return pieces


_split_short = lru_cache(maxsize=512)(_split)


def parse(text: str) -> Expression:
    """The one expression that `text` is, with or without `${{ }}` around it. Raises Malformed."""
    return _parse_short(text) if len(text) <= MAX_LENGTH else _parse(text)


def _parse(text: str) -> Expression:
    if OPEN not in text:
        tokens, end = _scan(text, 0, None)
        return _expression(text, 0, end, tokens)
    expressions = [piece for piece in split(text) if isinstance(piece, Expression) or piece.strip()]
    if len(expressions) == 1 and isinstance(expressions[0], Expression):
        return expressions[0]
    raise Malformed(
        0, "one expression is expected here, and nothing beside it", "join the parts inside of one `${{ }}`"
    )


_parse_short = lru_cache(maxsize=512)(_parse)


def _expression(text: str, start: int, end: int, tokens: list[Token]) -> Expression:
    source = text[start:end]
    expression = Expression(source=source, offset=start, tokens=tuple(tokens))
    if not tokens:
        raise Malformed(start, "the expression is empty")
    if end - start > MAX_LENGTH or len(tokens) > MAX_TOKENS:
        raise Malformed(start, f"the expression is longer than {MAX_LENGTH} characters or {MAX_TOKENS} words")
    if len(expression.mentions) > MAX_MENTIONS:
        raise Malformed(start, f"the expression names more than {MAX_MENTIONS} values")
    if sum(1 for token in tokens if token.text == "+") > MAX_PLUS:
        raise Malformed(start, f"the expression adds more than {MAX_PLUS} times", "texts are joined by `~`")
    _refuse_calls(expression.tokens)
    _refuse_arguments(expression.tokens)
    return expression


def _scan(text: str, position: int, opened: int | None) -> tuple[list[Token], int]:
    """The tokens up to the closing braces of the expression that was opened, or up to the end, and where that is."""
    tokens: list[Token] = []
    brackets: list[str] = []
    while position < len(text):
        if not brackets and opened is not None and text.startswith(CLOSE, position):
            return tokens, position
        after_dot = bool(tokens) and tokens[-1].text == "." and tokens[-1].kind == "mark"
        found = (_INDEX.match(text, position) if after_dot else None) or _TOKEN.match(text, position)
        if found is None:
            raise _unreadable(text, position)
        kind = found.lastgroup or "number"
        if kind != "space":
            token = Token(kind=cast(Kind, kind), text=found.group(), offset=position)
            _balance(token, brackets)
            tokens.append(token)
        position = found.end()
    if opened is not None:
        raise Malformed(opened, f"`{OPEN}` without `{CLOSE}`")
    if brackets:
        raise Malformed(position, f"`{brackets[-1]}` is never closed")
    return tokens, position


def _balance(token: Token, brackets: list[str]) -> None:
    if token.kind != "mark":
        return
    if token.text in BRACKETS.values():
        brackets.append(token.text)
        if len(brackets) > MAX_NESTING:
            raise Malformed(token.offset, f"brackets are nested deeper than {MAX_NESTING} levels")
    elif token.text in BRACKETS and (not brackets or brackets.pop() != BRACKETS[token.text]):
        raise Malformed(token.offset, f"`{token.text}` closes no bracket that is open")


def _unreadable(text: str, position: int) -> Malformed:
    char = text[position]
    if char in "\"'":
        return Malformed(position, "the text in quotes is never closed")
    instead = _OTHER_LANGUAGES.get(char)
    return Malformed(position, f"unexpected `{char}`", f"write `{instead}`" if instead else "")


def _refuse_calls(tokens: Sequence[Token]) -> None:
    for index, token in enumerate(tokens):
        if token.text == "|" and index + 1 < len(tokens) and tokens[index + 1].text == "|":
            raise Malformed(token.offset, "unexpected `||`", "write `or`")
        if token.text != "(" or token.kind != "mark" or index == 0 or not tokens[index - 1].ends_value:
            continue
        if not names_filter_or_test(tokens, index - 1):
            called = tokens[index - 1].text
            raise Malformed(
                tokens[index - 1].offset,
                f"`{called}(...)` calls something, which expressions cannot do",
                "use a filter: `value | upper`, `value | default('none')`",
            )


def _refuse_arguments(tokens: Sequence[Token]) -> None:
    """Hold filters to the arguments that are harmless; `map` applies only filters that stand there to be seen."""
    for kind, token in filters_and_tests(tokens):
        after = tokens[tokens.index(token) + 1 :][:3]
        words = [following.text for following in after]
        if kind == "filter" and token.text in _WITHOUT_ARGUMENTS and words[:1] == ["("]:
            raise Malformed(token.offset, f"`{token.text}` takes no arguments here")
        if kind == "filter" and token.text == "map" and words[:3] != ["(", "attribute", "="]:
            applied = words[1][1:-1] if len(after) == 3 and after[1].kind == "text" and words[2] == ")" else ""
            if applied not in FILTERS - {"map"}:
                hint = "`map(attribute='name')`, or `map('upper')` with a filter that needs no arguments"
                raise Malformed(token.offset, "`map` takes an attribute or the name of a filter, and no more", hint)
        given = arguments(tokens, tokens.index(token) + 1) if token.text in ORDERING_FILTERS else ()
        if any(part.kind == "mark" and part.text not in _OF_PLAIN_ARGUMENTS for part in given[1:]):
            # They are given twice: to the filter, and before to the check that there is such an order.
            raise Malformed(
                token.offset, f"`{token.text}` takes names and paths only", f"{token.text}(attribute='name')"
            )


def filters_and_tests(tokens: Sequence[Token]) -> Iterator[tuple[str, Token]]:
    """Every `("filter" | "test", name)` that is applied."""
    for index, token in enumerate(tokens):
        if names_filter_or_test(tokens, index) and token.text not in OPERATORS:
            is_filter = tokens[index - 1].text == "|"
            if is_filter or token.text not in _CONSTANTS:
                yield "filter" if is_filter else "test", token


def _mentions(tokens: Sequence[Token]) -> Iterator[Mention]:
    for index, token in enumerate(tokens):
        if token.kind != "word" or token.text in _CONSTANTS or token.text in OPERATORS:
            continue
        before = tokens[index - 1].text if index else ""
        follows = tokens[index + 1].text if index + 1 < len(tokens) else ""
        if before == "." or follows == "=" or names_filter_or_test(tokens, index):
            continue
        path, _ = _attributes(tokens, index + 1)
        yield Mention(root=token, path=path)


def _attributes(tokens: Sequence[Token], index: int) -> tuple[tuple[Token, ...], int]:
    """The names that follow by `.name` or `['name']`, and where whatever else comes begins."""
    found: list[Token] = []
    while index + 1 < len(tokens):
        first, second = tokens[index], tokens[index + 1]
        closed = index + 2 < len(tokens) and tokens[index + 2].text == "]"
        if first.text == "." and second.kind in ("word", "number"):
            index += 2
        elif first.text == "[" and second.kind in ("text", "number") and closed:
            index += 3
        else:
            break
        found.append(second)
    return tuple(found), index


def value_of(token: Token) -> PathPart | None:
    """What an attribute's token looks up; None of a text with escapes and of a broken number."""
    match token.kind:
        case "word":
            return token.text
        case "text" if "\\" not in token.text:
            return token.text[1:-1]
        case "number" if token.text.isdecimal():
            return int(token.text)
        case _:
            return None


def _path(tokens: Sequence[Token]) -> tuple[PathPart, ...] | None:
    if tokens[0].kind != "word" or tokens[0].text in _CONSTANTS or tokens[0].text in OPERATORS:
        return None
    attributes, end = _attributes(tokens, 1)
    values = [value_of(token) for token in attributes]
    if end != len(tokens) or None in values:
        return None
    return (tokens[0].text, *(value for value in values if value is not None))
