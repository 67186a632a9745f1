"""Collections that grow in constant time, and still never change: for blocks and tasks of many thousand executions.

A new version shares what it has in common with the one before. Small ones stay what they are: copying these is faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar, overload

K = TypeVar("K")
V = TypeVar("V")
LARGE = 64


def grown(items: Sequence[V], item: V) -> Sequence[V]:
    """`items` with `item` at the end."""
    if len(items) < LARGE:
        return (*items, item)
    return (items if isinstance(items, Grown) else Grown(list(items), len(items))).with_item(item)


def with_entry(entries: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    """`entries` with another value for `key`, which keeps its place if it has one."""
    if len(entries) < LARGE:
        return {**entries, key: value}
    return (entries if isinstance(entries, Versions) else Versions(dict(entries))).with_entry(key, value)


class Grown(Sequence[V]):
    """The first items of a list that is shared with longer versions."""

    __slots__ = ("_items", "_length")

    def __init__(self, items: list[V], length: int) -> None:
        self._items, self._length = items, length

    def with_item(self, item: V) -> Grown[V]:
        """This and one more. The list is copied only when another version has grown from this one already."""
        items = self._items if len(self._items) == self._length else self._items[: self._length]
        items.append(item)
        return Grown(items, self._length + 1)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[V]:
        return islice(self._items, self._length)

    @overload
    def __getitem__(self, index: int) -> V: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[V]: ...

    def __getitem__(self, index: int | slice) -> V | Sequence[V]:
        if isinstance(index, slice):
            return tuple(self._items[place] for place in range(*index.indices(self._length)))
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self._items[index if index >= 0 else index + self._length]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grown | tuple):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(tuple(self))


class _Absent:
    pass


_ABSENT: Any = _Absent()


class Versions(Mapping[K, V], Generic[K, V]):
    """A mapping whose newest version has the dict, while each older one knows in what it differs from the next.

    Whoever looks into an older one moves the dict there, step by step: right for those that are looked at in turn.
    """

    __slots__ = ("key", "known", "newer", "value")

    def __init__(self, entries: dict[K, V]) -> None:
        self.known: dict[K, V] | None = entries
        self.key: Any = None
        self.value: Any = None
        self.newer: Versions[K, V] | None = None

    def with_entry(self, key: K, value: V) -> Versions[K, V]:
        """This with another value for `key`."""
        entries = self._entries()
        before = entries.get(key, _ABSENT)
        entries[key] = value
        newer = Versions(entries)
        self.known, self.key, self.value, self.newer = None, key, before, newer
        return newer

    def _entries(self) -> dict[K, V]:
        if self.known is not None:
            return self.known
        chain: list[Versions[K, V]] = []
        version: Versions[K, V] = self
        while version.known is None:
            chain.append(version)
            assert version.newer is not None
            version = version.newer
        entries = version.known
        for older in reversed(chain):
            following = older.newer
            assert following is not None
            after = entries.get(older.key, _ABSENT)
            if older.value is _ABSENT:
                del entries[older.key]
            else:
                entries[older.key] = older.value
            following.known, following.key, following.value, following.newer = None, older.key, after, older
            older.known, older.key, older.value, older.newer = entries, None, None, None
        return entries

    def __getitem__(self, key: K) -> V:
        return self._entries()[key]

    def get(self, key: K, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return self._entries().get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._entries()

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries())

    def __len__(self) -> int:
        return len(self._entries())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Versions):
            return self is other or dict(self._entries()) == other._entries()
        return self._entries() == other if isinstance(other, dict) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._entries())
