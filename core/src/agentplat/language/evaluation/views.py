"""Values as minijinja sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentplat.domain.json import JsonValue


def as_text(value: JsonValue) -> str:
    """A text as it is, anything else as JSON text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=dict, sort_keys=True)


class View:
    """A map or a list: to be read, never changed. Public attributes could be reached by expressions.

    It knows where its value stands, so that what is looked for in vain can be told to `watch`.
    """

    __slots__ = ("_content", "_path", "_watch")

    def __init__(
        self, content: Mapping[str, JsonValue] | Sequence[JsonValue], path: tuple[str | int, ...], watch: Any
    ) -> None:
        self._content, self._path, self._watch = content, path, watch

    def __len__(self) -> int:
        return len(self._content)

    def __eq__(self, other: object) -> bool:
        return self._content == unwrapped(other)

    def __hash__(self) -> int:
        return len(self._content)

    def __str__(self) -> str:
        return as_text(self._content)


def unwrapped(value: object) -> object:
    """What a view shows; anything else as it is."""
    return value._content if isinstance(value, View) else value  # noqa: SLF001
