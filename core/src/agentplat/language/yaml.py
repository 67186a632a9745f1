"""YAML with marks: a document becomes a plain JSON value, and every value and key remembers where it stands.

Scalars mean what YAML 1.2's core schema says: `on`, `no`, `1:30` and dates are texts. Whatever makes a document
larger, or other, than it looks is refused while the parser's events come in, before anything is built.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import yaml

from agentplat.domain.json import MAX_INTEGER_DIGITS, JsonValue, unstorable
from agentplat.language.diagnostics import START, Diagnostics, Mark, shown

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 5_000

Path: TypeAlias = tuple[str | int, ...]

# PyYAML without libyaml has the same events, in Python.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what YAML's scanner counts lines by
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(frozen=True)
class Document:
    value: JsonValue
    file: str
    text: str
    marks: Mapping[Path, Mark]
    key_marks: Mapping[Path, Mark]

    def mark(self, path: Path) -> Mark:
        """Where the value of `path` stands; where its nearest ancestor does when it is not in the document."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, START)

    def key_mark(self, path: Path) -> Mark:
        """Where the key of `path` stands; where its value does when it is an item of a list."""
        return self.key_marks.get(path) or self.mark(path)

    def offset(self, mark: Mark) -> int:
        """The index in `text` of a mark."""
        return self._line_starts[mark.line - 1] + mark.column - 1 if mark.line <= len(self._line_starts) else 0

    def mark_of(self, offset: int) -> Mark:
        """The mark of an index in `text`."""
        line = bisect_right(self._line_starts, offset)
        return Mark(line, offset - self._line_starts[line - 1] + 1)

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(found.end() for found in _LINE_BREAK.finditer(self.text))]


def dump(value: JsonValue) -> str:
    """The value as YAML, with the keys in their alphabetical order: the same text for the same value."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=True, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    """Writes out what stands in several places, whether there it is one object or several that are alike."""

    def ignore_aliases(self, _value: object) -> bool:
        return True


def load(text: str | bytes, file: str) -> Document:
    """The document. Raises WorkflowInvalid with every fault that was found before the text made no sense any more."""
    diagnostics = Diagnostics(file)
    decoded = _decode(text, diagnostics)
    diagnostics.raise_found()
    builder = _Builder(diagnostics)
    try:
        for event in _events(decoded):
            if not builder.take(event):
                break
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark and decoded[mark.index : mark.index + 1] == "\t":
            diagnostics.add(_mark(mark), "yaml_syntax", "a tab stands where YAML takes spaces", "indent by spaces")
        else:
            diagnostics.add(_mark(mark) if mark else START, "yaml_syntax", _reason(error))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        diagnostics.add(START, "yaml_syntax", str(error).partition("\n")[0])
    diagnostics.raise_found()
    return Document(value=builder.value, file=file, text=decoded, marks=builder.marks, key_marks=builder.key_marks)


def _decode(text: str | bytes, diagnostics: Diagnostics) -> str:
    encoded = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if len(encoded) > MAX_BYTES:
        diagnostics.add(START, "too_large", f"the document has {len(encoded)} bytes, at most {MAX_BYTES} are read")
        return ""
    try:
        decoded = encoded.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = encoded[: error.start].decode("utf-8", "replace")
        diagnostics.add(_end_of(before), "not_utf8", "the document is not valid UTF-8 here")
        return ""
    found = _UNPRINTABLE.search(decoded)
    if found is not None:
        text = f"the character U+{ord(found.group()):04X} cannot stand in a document"
        diagnostics.add(_end_of(decoded[: found.start()]), "control_character", text)
    return decoded


def _end_of(text: str) -> Mark:
    *lines, last = _LINE_BREAK.split(text)
    return Mark(len(lines) + 1, len(last) + 1)


def _events(text: str) -> Iterator[Any]:
    loader = _LOADER(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


def _reason(error: yaml.MarkedYAMLError) -> str:
    return ", ".join(part.strip() for part in (error.context, error.problem) if part) or "this is not YAML"


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    value: dict[str, JsonValue] | list[JsonValue]
    path: Path
    key: str | None = None  # of the mapping's value that is expected next
    skips: bool = False  # the value that comes next is dropped: its key was refused


@dataclass(slots=True)
class _Builder:
    """Builds the value from events, without recursion; `take` says whether to go on."""

    diagnostics: Diagnostics
    value: JsonValue = None
    marks: dict[Path, Mark] = field(default_factory=dict)
    key_marks: dict[Path, Mark] = field(default_factory=dict)
    open: list[_Open] = field(default_factory=list)
    nodes: int = 0
    documents: int = 0

    def take(self, event: Any) -> bool:
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self._refuse(event, "several_documents", "a file holds one document, and here another one starts")
                    return False
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.open.pop()
            case yaml.AliasEvent():
                self._refuse(event, "alias", f"`*{event.anchor}` repeats another part", "write the part out again")
                return self._node(event, None)
            case yaml.ScalarEvent():
                self._refuse_properties(event)
                return self._node(event, self._scalar(event))
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._refuse_properties(event)
                value: JsonValue = {} if isinstance(event, yaml.MappingStartEvent) else []
                return self._node(event, value)
            case _:
                pass
        return True

    def _refuse(self, event: Any, code: str, text: str, hint: str = "") -> None:
        self.diagnostics.add(_mark(event.start_mark), code, text, hint)

    def _refuse_properties(self, event: Any) -> None:
        if event.anchor is not None:
            self._refuse(event, "anchor", f"`&{event.anchor}` names a part to be repeated", "write each part out")
        if event.tag is not None:
            hint = "put the value in quotes to make it a text"
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._refuse(event, "tag", f"the tag `{shown(tag)[1:-1]}` is not read", hint)

    def _node(self, event: Any, value: JsonValue) -> bool:
        self.nodes += 1
        depth = len(self.open) + isinstance(value, dict | list)
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            limit = f"{MAX_NODES} values" if self.nodes > MAX_NODES else f"{MAX_DEPTH} levels"
            self._refuse(event, "too_large", f"the document has more than {limit}; nothing after this was read")
            return False
        parent = self.open[-1] if self.open else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None and not parent.skips:
            return self._key(event, parent, value)
        path = self._place(event, parent, value)
        if isinstance(value, dict | list):
            self.open.append(_Open(value=value, path=path))
        return True

    def _key(self, event: Any, parent: _Open, key: JsonValue) -> bool:
        if isinstance(key, dict | list):
            self._refuse(event, "key_not_text", "a key is a text, and this one is a list or a map")
            return False
        if not isinstance(key, str):
            self._refuse(event, "key_not_text", f"a key is a text, and this one is {shown(key)}", "put it in quotes")
            parent.skips = True
        elif key in parent.value:
            first = self.key_marks[(*parent.path, key)]
            place = f"line {first.line}, column {first.column}"
            self._refuse(event, "duplicate_key", f"the key `{key}` stands here again; first at {place}")
            parent.skips = True
        else:
            parent.key = key
            self.key_marks[(*parent.path, key)] = _mark(event.start_mark)
        return True

    def _place(self, event: Any, parent: _Open | None, value: JsonValue) -> Path:
        if parent is None:
            path: Path = ()
            self.value = value
        elif isinstance(parent.value, list):
            path = (*parent.path, len(parent.value))
            parent.value.append(value)
        elif parent.key is None:  # dropped with its key
            parent.skips = False
            return parent.path
        else:
            path = (*parent.path, parent.key)
            parent.value[parent.key] = value
            parent.key = None
        self.marks.setdefault(path, _mark(event.start_mark))
        return path

    def _scalar(self, event: Any) -> JsonValue:
        value: JsonValue = event.value
        if event.implicit[0] and event.tag is None:
            try:
                value = resolve(event.value)
            except ValueError as error:
                self._refuse(event, "number", str(error), "put it in quotes to make it a text")
                return None
        fault = unstorable(value)
        if fault is not None:
            self._refuse(event, "text", f"this text {fault[1]}")
            return None
        return value


def resolve(plain: str) -> JsonValue:
    """What a scalar without quotes means. Raises ValueError for a number that JSON cannot express."""
    if plain in _NULL:
        return None
    if plain in _BOOL:
        return _BOOL[plain]
    if _INTEGER.fullmatch(plain):
        if len(plain) > MAX_INTEGER_DIGITS:
            raise ValueError(f"an integer of more than {MAX_INTEGER_DIGITS} digits")
        return int(plain, {"0o": 8, "0x": 16}.get(plain[:2], 10))
    if _NO_NUMBER.fullmatch(plain):
        raise ValueError(f"`{plain}` is not a number that can be kept")
    if _FLOAT.fullmatch(plain):
        number = float(plain)
        if not math.isfinite(number):
            raise ValueError("a number that is too large to be kept")
        return number
    return plain
