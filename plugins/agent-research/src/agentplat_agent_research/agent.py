"""The agent `research`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue

from agentplat import Agent, AgentContext, Passage
from agentplat_agent_research.feedback import named
from agentplat_agent_research.prompts import SYSTEM, findings_prompt
from agentplat_agent_research.schema import Evidence, Input, Output, Settings
from agentplat_agent_research.search import DOCUMENTS, WEB, Material, gather

MAX_INSIGHTS = 5

_CITATION = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
_SENTENCE = re.compile(r".+?[.!?](?=\s|$)|.+$", re.DOTALL)


class ResearchAgent(Agent[Input, Output]):
    """Searches for the topic, and for what feedback named, and has the model compose findings from what was found.

    The same input over the same documents gives the same findings, if the model is deterministic. The agent does not
    know how often it has been asked.
    """

    name = "research"
    tools = (DOCUMENTS, WEB)
    most_model_calls = 1

    async def execute(self, input: Input, ctx: AgentContext) -> Output:
        """Findings with sources; or plain words when nothing was found."""
        settings = Settings.model_validate(
            {key: ctx.config[key] for key in Settings.model_fields.keys() & ctx.config.keys()}
        )
        also = named(input.previous_feedback)
        material = await gather(input.topic, also, settings, ctx)
        passages = material.passages
        if not passages:
            return _nothing(input.topic, settings)
        ctx.emit("composing", passages=len(passages))
        # An extractive model takes every word between markers for a subject; only a generating one can read a review.
        review = _text_of(input.previous_feedback) if ctx.llm.generates else ""
        reply = await ctx.llm.complete(findings_prompt(input.topic, also, review), system=SYSTEM, passages=passages)
        cited, findings = _renumbered(reply.text, passages)
        used = cited or (passages if ctx.llm.generates else [])
        ctx.log.info("findings_composed", found=len(passages), cited=len(cited))
        return _output(input.topic, findings, used, material)


def _output(topic: str, findings: str, used: Sequence[Passage], material: Material) -> Output:
    unmatched = material.unmatched(passage.source for passage in used)
    return Output(
        topic=topic,
        findings=findings,
        sources=[passage.source for passage in used],
        key_insights=_insights(findings) if used else [],
        confidence_level=_confidence(used, len(material.words), len(unmatched)),
        potential_gaps=[f"None of the sources mentions “{word}”." for word in unmatched],
        evidence=[Evidence(source=passage.source, text=passage.text) for passage in used],
    )


def _nothing(topic: str, settings: Settings) -> Output:
    where = {"documents": "documents", "web": "web", "both": "documents and the web"}[settings.search]
    said = f"A search of the {where} found nothing on “{topic[:200]}”."
    return Output(
        topic=topic,
        findings=said,
        sources=[],
        key_insights=[],
        confidence_level="low",
        potential_gaps=[said],
        evidence=[],
    )


def _renumbered(text: str, passages: Sequence[Passage]) -> tuple[list[Passage], str]:
    """The passages that `text` cites, in the order of their first citation, and the text with their new numbers."""
    order: dict[int, int] = {}

    def number(match: re.Match[str]) -> str:
        cited = [int(part) for part in match[1].split(",")]
        known = [order.setdefault(at, len(order) + 1) for at in cited if 1 <= at <= len(passages)]
        return f"[{', '.join(map(str, known))}]" if known else ""

    renumbered = _CITATION.sub(number, text)
    return [passages[at - 1] for at in order], renumbered


def _insights(findings: str) -> list[str]:
    """The first sentence of each paragraph or item."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*[-*•\d])", findings):
        sentence = _SENTENCE.search(paragraph.strip().lstrip("-*•# "))
        # What cites nothing is a heading or a remark, not a finding.
        if sentence and (_CITATION.search(sentence[0]) or not _CITATION.search(findings)):
            found.append(sentence[0].strip())
    return found[:MAX_INSIGHTS]


def _confidence(used: Sequence[Passage], words: int, unmatched: int) -> Literal["high", "medium", "low"]:
    """How well the sources match the topic, word by word. Without words to compare, only their number counts."""
    share = 1 - unmatched / words if words else 0.5
    if len(used) >= 2 and share >= 0.9:
        return "high"
    return "medium" if used and share >= 0.5 else "low"


def _text_of(feedback: JsonValue) -> str:
    if isinstance(feedback, dict):
        text = feedback.get("feedback")
        return text if isinstance(text, str) else ""
    return feedback if isinstance(feedback, str) else ""
