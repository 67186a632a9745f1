"""Plain text and reStructuredText as blocks of plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator

_RULE = re.compile(r"^([=\-~^\"'`#*+.:_])\1{2,}$")
_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_ROLE = re.compile(r"(?::[\w:]+:)?`{1,2}([^`<]+?)(?:\s*<[^>]*>)?`{1,2}_{0,2}")
_STRONG = re.compile(r"(?<![\w*])\*{1,2}(?=\S)([^*]+?)(?<=\S)\*{1,2}(?![\w*])")


def text_blocks(text: str) -> Iterator[tuple[int, tuple[str, ...], str]]:
    """`(line, no headings, text)` of each paragraph: what stands between empty lines."""
    yield from ((line, (), paragraph) for line, paragraph in _paragraphs(enumerate(text.splitlines(), start=1)))


def restructured_blocks(text: str) -> Iterator[tuple[int, tuple[str, ...], str]]:
    """`(line, headings, text)` of each paragraph; a line that is underlined by punctuation is a heading."""
    lines = [line.rstrip() for line in text.splitlines()]
    headings: list[tuple[str, str]] = []
    styles: list[str] = []
    section: list[tuple[int, str]] = []
    for index, line in enumerate(lines):
        below = lines[index + 1] if index + 1 < len(lines) else ""
        if _is_title(line, below):
            yield from _section(section, headings)
            section = []
            if below[0] not in styles:
                styles.append(below[0])
            level = styles.index(below[0])
            headings = [heading for heading in headings if styles.index(heading[0]) < level]
            headings.append((below[0], _spoken(line.strip())))
        elif not _RULE.match(line):
            section.append((index + 1, line))
        else:
            section.append((index + 1, ""))
    yield from _section(section, headings)


def _is_title(line: str, below: str) -> bool:
    text = line.strip()
    return bool(text) and not _RULE.match(line) and bool(_RULE.match(below)) and len(below) >= len(text)


def _section(
    lines: list[tuple[int, str]], headings: list[tuple[str, str]]
) -> Iterator[tuple[int, tuple[str, ...], str]]:
    titles = tuple(title for _, title in headings)
    for line, paragraph in _paragraphs(iter(lines)):
        if not paragraph.lstrip().startswith(".. "):  # directives and comments
            yield line, titles, _spoken(paragraph)


def _paragraphs(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    start = 0
    parts: list[str] = []
    for number, line in lines:
        if not line.strip():
            if parts:
                yield start, "\n".join(parts)
            parts = []
        elif not parts or _ITEM.match(line):
            start = start if parts else number
            parts.append(" ".join(line.split()))
        else:
            parts[-1] += " " + " ".join(line.split())
    if parts:
        yield start, "\n".join(parts)


def _spoken(text: str) -> str:
    """The text without the marks of reStructuredText."""
    return _STRONG.sub(r"\1", _ROLE.sub(r"\1", text))
