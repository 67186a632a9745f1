"""What a prompt asks about, told apart from how it asks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentplat import Message

_SECTION = re.compile(r"<([a-z][a-z0-9_]*)>\s*(.*?)\s*</\1>", re.DOTALL)
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNT = re.compile(rf"\b(\d{{1,2}}|{'|'.join(_NUMBERS)})\s+(?:\w+\s+)?sentences?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """`subject` is the material of the prompt; `marked` says that the prompt itself had marked it."""

    subject: str
    marked: bool
    sentences: int | None  # how many sentences are asked for


def question(messages: Sequence[Message]) -> Question:
    """What the last message of the user is about.

    Text between markers of the form `<name> ... </name>` is material, and all else is instruction. Without markers,
    leading lines that end in a colon are the instruction.
    """
    asked = next((message.content for message in reversed(messages) if message.role == "user"), "")
    sections = [match[2] for match in _SECTION.finditer(asked)]
    if sections:
        return Question("\n\n".join(sections), True, _count(_SECTION.sub(" ", asked)))
    instruction, subject = _divided(asked)
    return Question(subject, False, _count(instruction or asked))


def _divided(text: str) -> tuple[str, str]:
    lines = text.strip().splitlines()
    for index, line in enumerate(lines[:5]):
        if line.rstrip().endswith(":") and any(below.strip() for below in lines[index + 1 :]):
            return "\n".join(lines[: index + 1]), "\n".join(lines[index + 1 :]).strip()
    return "", text.strip()


def _count(text: str) -> int | None:
    match = _COUNT.search(text)
    if match is None:
        return None
    word = match[1].casefold()
    number = int(word) if word.isdigit() else _NUMBERS.index(word)
    return number or None
