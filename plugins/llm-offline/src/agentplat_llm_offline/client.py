"""The provider `offline`: an extractive model. It selects and orders sentences; it never writes one about a topic."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from itertools import groupby

from agentplat import FailureCode, JsonValue, ModelReply, ModelRequest, StepError, Usage
from agentplat_llm_offline.extract import Candidate, answer, summary
from agentplat_llm_offline.prompt import Question, question

MODEL = "extractive"
ANSWER_SENTENCES, SUMMARY_SENTENCES = 8, 3
MAX_SENTENCES = 40
MAX_CHARS = 2_000_000
CHARS_PER_TOKEN = 4

_END_MARKS = ".!?…。！？"


class OfflineProvider:
    """Answers from the passages of a request, with numbered citations; without passages it shortens the prompt's text.

    The same request gives the same reply. Instructions other than a number of sentences are not understood.
    """

    async def complete(self, request: ModelRequest) -> ModelReply:
        """The reply. StepError `refused` for what only a generating model can do."""
        _check(request)
        return await asyncio.to_thread(_reply, request)

    async def aclose(self) -> None:
        """Nothing to close."""


def _check(request: ModelRequest) -> None:
    if request.model != MODEL:
        raise StepError(
            FailureCode.INVALID_INPUT, f"The provider offline has no model {request.model!r}, only {MODEL!r}."
        )
    if request.output_schema is not None:
        raise StepError(
            FailureCode.REFUSED,
            "The offline model selects sentences and cannot fill in a structure. "
            "Choose a model that generates, for instance with AGENTPLAT_MODEL=provider:model.",
        )
    if _characters(request) > MAX_CHARS:
        raise StepError(FailureCode.INVALID_INPUT, f"The prompt and its passages exceed {MAX_CHARS:,} characters.")


def _reply(request: ModelRequest) -> ModelReply:
    asked = question(request.messages)
    metadata: dict[str, JsonValue] = {"generates": False, "method": "extractive", "tokens": "estimated"}
    if request.passages:
        text, cut = _answered(request, asked, metadata)
    else:
        text, cut = _shortened(request, asked, metadata)
    usage = Usage(
        input_tokens=math.ceil(_characters(request) / CHARS_PER_TOKEN),
        output_tokens=math.ceil(len(text) / CHARS_PER_TOKEN),
        cost=0,
    )
    return ModelReply(text=text, usage=usage, finish_reason="length" if cut else "stop", metadata=metadata)


def _answered(request: ModelRequest, asked: Question, metadata: dict[str, JsonValue]) -> tuple[str, bool]:
    limit = _limit(asked, ANSWER_SENTENCES)
    extract = answer(asked.subject, request.passages, limit, instructed=not asked.marked)
    metadata["covered"] = bool(extract.chosen)
    metadata["missing"] = list(extract.missing)
    if not extract.chosen:
        return f"The given passages do not cover this: {_listed(extract.missing)}.", False
    kept, cut = _within(extract.chosen, request.max_tokens)
    paragraphs = [
        " ".join(_cited(candidate) for candidate in group) for _, group in groupby(kept, lambda chosen: chosen.passage)
    ]
    if extract.missing:
        paragraphs.append(f"The given passages do not mention: {_listed(extract.missing)}.")
    return "\n\n".join(paragraphs), cut


def _shortened(request: ModelRequest, asked: Question, metadata: dict[str, JsonValue]) -> tuple[str, bool]:
    extract = summary(asked.subject, _limit(asked, SUMMARY_SENTENCES))
    metadata["covered"] = bool(extract.chosen)
    if not extract.chosen:
        # Too short to choose from. The text itself is the only honest summary of it.
        return asked.subject.strip() or "The prompt holds no text to select from.", False
    kept, cut = _within(extract.chosen, request.max_tokens)
    return " ".join(candidate.text for candidate in kept), cut


def _limit(asked: Question, usual: int) -> int:
    return min(asked.sentences or usual, MAX_SENTENCES)


def _within(chosen: Sequence[Candidate], max_tokens: int | None) -> tuple[list[Candidate], bool]:
    """As many whole sentences as fit into `max_tokens`, at least one; and whether any was left out."""
    if max_tokens is None:
        return list(chosen), False
    kept: list[Candidate] = []
    room = max_tokens * CHARS_PER_TOKEN
    for candidate in chosen:
        room -= len(candidate.text) + 6  # the citation
        if kept and room < 0:
            return kept, True
        kept.append(candidate)
    return kept, False


def _cited(candidate: Candidate) -> str:
    """The sentence with the number of its passage, before the mark that ends it."""
    text = candidate.text
    mark = text[-1] if text[-1] in _END_MARKS else "."
    return f"{text.rstrip(_END_MARKS)} [{candidate.passage + 1}]{mark}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) if words else "the question"


def _characters(request: ModelRequest) -> int:
    said = sum(len(message.content) for message in request.messages)
    return said + sum(len(passage.source) + len(passage.text) for passage in request.passages)
