"""The words and marks of an expression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

OPERATORS = frozenset({"and", "or", "not", "in", "is", "if", "else"})
BRACKETS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Token:
    kind: Literal["word", "number", "text", "mark"]
    text: str
    offset: int

    @property
    def ends_value(self) -> bool:
        """Whether an operand may end here; a minus that follows is a subtraction."""
        return self.text not in OPERATORS if self.kind == "word" else self.kind != "mark" or self.text in BRACKETS


def names_filter_or_test(tokens: Sequence[Token], index: int) -> bool:
    """Whether the token is the name behind a `|` or an `is`."""
    before = tokens[index - 1].text if index else ""
    if before == "not" and index > 1:
        before = tokens[index - 2].text
    return tokens[index].kind == "word" and before in ("|", "is")


def arguments(tokens: Sequence[Token], index: int) -> Iterator[tuple[str, Sequence[Token]]]:
    """The arguments of a filter, with their names, whose opening bracket would stand at `index`."""
    if index >= len(tokens) or tokens[index].text != "(":
        return
    depth, start = 0, index + 1
    for at in range(index, len(tokens)):
        token = tokens[at]
        if token.kind == "mark" and token.text in BRACKETS.values():
            depth += 1
        elif token.kind == "mark" and token.text in BRACKETS:
            depth -= 1
        if (depth == 1 and token.text == "," and token.kind == "mark") or depth == 0:
            given = tokens[start:at]
            if len(given) > 2 and given[1].text == "=":
                yield given[0].text, given[2:]
            start = at + 1
        if depth == 0:
            return
