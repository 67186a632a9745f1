"""What goes in, what comes out, what can be set."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

FINDINGS = ("research_findings", "previous_output", "text", "description", "query", "topic")
TEXT_FIELDS = ("findings", "summary", "text", "result", "response", "content", "output")
MAX_TEXT = 400_000


class Evidence(BaseModel):
    source: str = Field(max_length=10_000)
    text: str = Field(max_length=MAX_TEXT)


class Input(BaseModel):
    """The findings may also be given as `text`, `description` or `query`, the topic as `topic`."""

    findings: str = Field(
        max_length=MAX_TEXT,
        alias="research_findings",
        description="What is assessed: a text, or an object as the research agent gives it.",
    )
    topic: str = Field(default="", max_length=20_000, alias="original_topic", description="What it should be about.")
    evidence: list[Evidence] | None = Field(
        default=None,
        max_length=500,
        description="The text of each source, numbered from 1 as the findings cite them; none when it is not known.",
    )

    @model_validator(mode="before")
    @classmethod
    def _in_any_of_its_forms(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        findings = next((given[name] for name in FINDINGS if given.get(name)), None)
        inside = findings if isinstance(findings, dict) else {}
        topic = next(
            (found for found in (given.get("original_topic"), given.get("topic"), inside.get("topic")) if found), ""
        )
        evidence = given["evidence"] if given.get("evidence") is not None else inside.get("evidence")
        texts = [item.get("text") for item in evidence if isinstance(item, dict)] if isinstance(evidence, list) else []
        if topic == findings or topic in texts:
            topic = ""  # the text itself is nothing that it could be compared with
        read = {"research_findings": findings, "original_topic": topic, "evidence": evidence}
        return {name: value for name, value in read.items() if value is not None}

    @field_validator("findings", mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> Any:
        if not isinstance(given, dict | list):
            return given
        found = (given.get(name) for name in TEXT_FIELDS) if isinstance(given, dict) else ()
        text = next((text for text in found if isinstance(text, str) and text.strip()), None)
        return text or json.dumps(given, ensure_ascii=False)


class Output(BaseModel):
    approved: bool
    feedback: str = Field(description="What is missing, and what was found; the missing phrases are quoted.")
    strengths: list[str]
    areas_for_improvement: list[str]
    overall_quality: Literal["excellent", "good", "fair", "poor"]
    quality_score: float = Field(ge=0, le=1)
    coverage: float | None = Field(
        description="Share of the topic that supported sentences cover; none without a topic."
    )
    grounding: float | None = Field(
        description="Share of the sentences that the sources support; none without sources."
    )
    missing: list[str] = Field(description="The parts of the topic that no supported sentence covers.")


class Settings(BaseModel):
    """The agent's `config`."""

    approve_at: float = Field(
        default=0.8, gt=0, le=1, description="The quality score from which findings are approved."
    )


class Judgement(BaseModel):
    """What a model that generates is asked for, besides what is measured."""

    quality_score: float = Field(ge=0, le=1, description="0 is useless, 1 answers the topic completely and correctly.")
    approved: bool
    missing: list[str] = Field(max_length=20, description="Short phrases: what the topic asks for and is not answered.")
    strengths: list[str] = Field(max_length=20)
    areas_for_improvement: list[str] = Field(max_length=20)
