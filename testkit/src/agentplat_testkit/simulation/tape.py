"""Luck, written down beforehand on a tape of bytes, so that what it led to can be played again, and shrunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Tape:
    """Luck. Nought, which is also what an empty tape gives, is the best of it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def next(self) -> int:
        value = self.content[self.place] if self.place < len(self.content) else 0
        self.place += 1
        return value

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.next() % len(choices)]

    @property
    def is_used_up(self) -> bool:
        return self.place >= len(self.content)
