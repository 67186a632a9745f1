"""From a document's text to its passages: neighbouring paragraphs of one section, under their headings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agentplat_tool_document_search.markdown import markdown_blocks
from agentplat_tool_document_search.plain import restructured_blocks, text_blocks

TARGET_CHARS = 700
MAX_CHARS = 1_200
MAX_HEADING_CHARS = 160
MAX_PASSAGES = 2_000  # of one document

_END = re.compile(r"(?<=[.!?])\s+|\n")


@dataclass(frozen=True, slots=True)
class Passage:
    source: str
    title: str  # the document's name and the outer headings
    heading: str  # the nearest one
    text: str


def passages(name: str, text: str) -> list[Passage]:
    """The passages of the document `name`, in its order. Code, tables and lists are kept as lines of their own."""
    suffix = name.lower().rpartition(".")[2]
    read = {"rst": restructured_blocks, "txt": text_blocks}.get(suffix, markdown_blocks)
    found: list[Passage] = []
    for line, trail, block in _merged(read(text)):
        headings = [heading[:MAX_HEADING_CHARS] for heading in trail]
        source = f"{name} § {' > '.join(headings)}" if headings else f"{name}:{line}"
        title = " ".join([name.rpartition(".")[0], *headings[:-1]])
        heading = headings[-1] if headings else ""
        found.extend(Passage(source, title, heading, part) for part in _parts(block))
        if len(found) >= MAX_PASSAGES:
            return found[:MAX_PASSAGES]
    return found


Block = tuple[int, tuple[str, ...], str]  # line, headings, text


def _merged(blocks: Iterable[Block]) -> Iterator[Block]:
    """Neighbouring blocks of one section joined, up to the length that a passage should have."""
    current: Block | None = None
    for block in blocks:
        if current is not None and current[1] == block[1] and len(current[2]) + len(block[2]) <= TARGET_CHARS:
            current = (current[0], current[1], f"{current[2]}\n\n{block[2]}")
            continue
        if current is not None:
            yield current
        current = block
    if current is not None:
        yield current


def _parts(text: str) -> Iterator[str]:
    """The text in pieces of at most MAX_CHARS, cut at ends of sentences and lines where there are any."""
    while len(text) > MAX_CHARS:
        ends = [match.end() for match in _END.finditer(text, TARGET_CHARS // 2, MAX_CHARS)]
        space = text.rfind(" ", TARGET_CHARS // 2, MAX_CHARS)
        cut = ends[-1] if ends else space if space > 0 else MAX_CHARS
        yield text[:cut].strip()
        text = text[cut:].strip()
    if text:
        yield text
