"""The words and marks of an expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["word", "number", "text", "mark"]
OPERATORS = frozenset({"and", "or", "not", "in", "is", "if", "else"})
BRACKETS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
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


def arguments(tokens: Sequence[Token], index: int) -> Sequence[Token]:
    """From the opening bracket at `index` to the first one that closes; nothing when none opens there."""
    if index >= len(tokens) or tokens[index].text != "(":
        return ()
    end = next((at for at in range(index, len(tokens)) if tokens[at].text == ")"), index)
    return tokens[index : end + 1]
