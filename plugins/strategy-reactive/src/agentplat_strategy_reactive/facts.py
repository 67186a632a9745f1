"""A blackboard: facts by name, and who last changed each of them."""

from __future__ import annotations

from collections.abc import Mapping

from agentplat import JsonValue


class Blackboard:
    """Facts as they are written. A fact that is written with the value that it has does not change."""

    def __init__(self, given: JsonValue) -> None:
        self.facts: dict[str, JsonValue] = {}
        self.changes = 0
        self._changed: dict[str, tuple[int, str]] = {}  # when each fact last changed, and by which step
        self.write("", given if isinstance(given, Mapping) else {} if given is None else {"input": given})

    def write(self, author: str, facts: Mapping[str, JsonValue]) -> None:
        """Take over what a step gave. The block's input has no author."""
        for name, value in facts.items():
            if name not in self.facts or not _same(self.facts[name], value):
                self.changes += 1
                self._changed[name] = (self.changes, author)
            self.facts[name] = value

    def has_news(self, names: tuple[str, ...], reader: str, since: int) -> bool:
        """Whether all these facts are there, and another than the reader changed one of them after `since`."""
        if not all(name in self.facts for name in names):
            return False
        return any(self._changed[name][0] > since and self._changed[name][1] != reader for name in names)

    def changed_by_others(self, reader: str, since: int) -> bool:
        """Whether another than the reader changed any fact after `since`."""
        return any(change > since and author != reader for change, author in self._changed.values())


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Equality that tells true from 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and one == other
