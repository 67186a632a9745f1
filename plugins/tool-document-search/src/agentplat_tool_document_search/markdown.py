"""Markdown as blocks of plain text: what a reader of the rendered page would read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

_PARSER = MarkdownIt("commonmark").enable("table")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?:.*\n){0,100}?(?:---|\.\.\.)[ \t]*\n")


def markdown_blocks(text: str) -> Iterator[tuple[int, tuple[str, ...], str]]:
    """`(line, headings, text)` of each paragraph, list, table and block of code, in order."""
    hidden = _FRONT_MATTER.match(text)
    skipped = text[: hidden.end()].count("\n") if hidden else 0
    headings: list[tuple[int, str]] = []
    group: list[Token] = []
    for token in _PARSER.parse(text[hidden.end() :] if hidden else text):
        group.append(token)
        if token.level or token.nesting == 1:
            continue
        if group[0].type == "heading_open":
            level = int(group[0].tag[1:])
            headings = [heading for heading in headings if heading[0] < level]
            headings.append((level, _inline(group[1])))
        elif content := "\n".join(_lines(group)).strip("\n"):
            line = group[0].map[0] if group[0].map else 0
            yield line + skipped + 1, tuple(title for _, title in headings if title), content
        group = []


def _lines(tokens: Sequence[Token]) -> Iterator[str]:
    mark = ""
    cells: list[str] = []
    for token in tokens:
        match token.type:
            case "list_item_open":
                mark = "- "
            case "tr_open":
                cells = []
            case "tr_close":
                yield ": ".join(filter(None, [cells[0], "; ".join(filter(None, cells[1:]))]))
            case "th_open" | "td_open":
                cells.append("")
            case "inline" if cells:
                cells[-1] = _inline(token)
            case "inline":
                yield mark + _inline(token)
                mark = ""
            case "fence" | "code_block":
                yield from ("    " + line for line in token.content.rstrip().splitlines())
            case "table_close":
                cells = []
            case _:
                pass


def _inline(token: Token) -> str:
    """The text of a paragraph or heading without its marks; an image counts as its description."""
    parts: list[str] = []
    for child in token.children or ():
        match child.type:
            case "text" | "code_inline" | "image":
                parts.append(child.content)
            case "softbreak" | "hardbreak":
                parts.append(" ")
            case _:
                pass
    return " ".join("".join(parts).split())
