"""A place in a document, and what may stand there: each reading gives the value, or a diagnostic and None."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from agentplat.domain.json import JsonValue
from agentplat.language.diagnostics import Diagnostics, shown
from agentplat.language.yaml import Document, Path

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
LONGEST = 3650 * 86_400
"""The longest duration, in seconds."""

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d{1,3})?)s)?(?:(\d+)ms)?", re.ASCII)
_SECONDS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_CHOICES = frozenset({"backoff", "catch_up", "join", "on_timeout"})
"""What is one of a few words, and no name of anything."""
_KIND = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a map"}


@dataclass(frozen=True, slots=True)
class Node:
    """`value` is None where nothing stands: an empty value and an absent key mean the same."""

    document: Document
    diagnostics: Diagnostics
    path: Path
    value: JsonValue

    def __getitem__(self, key: str) -> Node:
        value = self.value.get(key) if isinstance(self.value, Mapping) else None
        return Node(self.document, self.diagnostics, (*self.path, key), value)

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, Mapping) and key in self.value

    def items(self) -> list[Node]:
        """The items of a list, or the values of a map."""
        match self.value:
            case list():
                found = enumerate(self.value)
                return [Node(self.document, self.diagnostics, (*self.path, index), item) for index, item in found]
            case dict():
                return [self[key] for key in self.value]
            case _:
                return []

    @property
    def key(self) -> str:
        return str(self.path[-1]) if self.path else ""

    def refuse(self, code: str, text: str, hint: str = "") -> None:
        self.diagnostics.add(self.document.mark(self.path), code, text, hint)

    def refuse_key(self, code: str, text: str, hint: str = "") -> None:
        self.diagnostics.add(self.document.key_mark(self.path), code, text, hint)

    def _expect(self, what: str) -> None:
        found = _KIND.get(type(self.value), "nothing")
        value = f" {shown(self.value)}" if isinstance(self.value, str | int | float) else ""
        last = self.path[-1]
        named = f"item {last + 1} of `{self.path[-2]}`" if isinstance(last, int) else f"`{last}`"
        self.refuse("wrong_type", f"{named} is {what}, not {found}{value}")

    def is_map(self) -> bool:
        """Whether this is a map; reported when it is not."""
        if isinstance(self.value, dict):
            return True
        if self.path:
            self._expect("a map of keys and values")
        else:
            self.refuse("wrong_type", "a document has to be a map of keys and values")
        return False

    def keys(self, known: Collection[str]) -> bool:
        """Whether this is a map. Every key that is not `known` is refused."""
        if not self.is_map():
            return False
        for child in self.items():
            if child.key not in known:
                hint = self.diagnostics.nearest(child.key, known)
                child.refuse_key("unknown_key", f"unknown key `{shown(child.key)[1:-1]}`", hint)
        return True

    def list(self) -> list[Node] | None:
        if self.value is not None and not isinstance(self.value, list):
            self._expect("a list")
        return self.items() if isinstance(self.value, list) else None

    def text(self) -> str | None:
        if self.value is not None and not isinstance(self.value, str):
            self._expect("a text")
        return self.value if isinstance(self.value, str) else None

    def name(self) -> str | None:
        """A name that we define: a step's, a workflow's, a signal's."""
        text = self.text()
        if text is None or NAME.fullmatch(text):
            return text
        rule = "lower-case letters, digits and underscores, with a letter first, at most 64"
        self.refuse("invalid_name", f"`{shown(text)[1:-1]}` is not a name", rule)
        return None

    def known(self, what: str, names: Collection[str] | None) -> str | None:
        """A name out of `names`; any text when they are not known."""
        text = self.text()
        if text is not None and names is not None and text not in names:
            chosen = what == self.key and what in _CHOICES
            self.refuse(
                f"unknown_{what}",
                f"`{what}` cannot be `{text}`" if chosen else f"there is no {what.replace('_', ' ')} `{text}`",
                self.diagnostics.nearest(text, names),
            )
        return text

    def number(self, least: float, most: float, *, whole: bool = False) -> float | None:
        value = self.value
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or (whole and not isinstance(value, int)):
            self._expect("a whole number" if whole else "a number")
            return None
        assert isinstance(value, int | float)
        if not least <= value <= most:
            self.refuse("out_of_range", f"`{self.key}` is {value}, and has to be from {least:g} to {most:g}")
            return None
        return value

    def duration(self) -> float | None:
        """Seconds, more than none."""
        if self.value is None:
            return None
        seconds = seconds_of(self.value)
        if seconds is None:
            hint = "write 30s, 2m, 1h30m, 3d, 500ms or a number of seconds"
            self.refuse("invalid_duration", f"`{self.key}` is {shown(self.value)}, which is not a duration", hint)
        elif not 0 < seconds <= LONGEST:
            self.refuse("out_of_range", f"`{self.key}` has to be longer than nothing and at most ten years")
        else:
            return seconds
        return None


def seconds_of(value: JsonValue) -> float | None:
    """The seconds of `1h30m` or of a number of seconds, whole ones as an integer; None of anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip()) if len(value) <= 40 else None
        if found is None or not any(found.groups()):
            return None
        parts = zip(found.groups(), _SECONDS, strict=True)
        seconds = round(sum(float(part) * unit for part, unit in parts if part), 3)
    else:
        seconds = value
    return int(seconds) if seconds == int(seconds) else seconds
