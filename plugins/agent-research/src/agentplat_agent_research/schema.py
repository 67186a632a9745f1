"""What goes in, what comes out, what can be set."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, JsonValue, model_validator

MAIN_TEXT = ("topic", "text", "query", "description")


class Input(BaseModel):
    """The topic may also be given as `text`, `query` or `description`."""

    topic: str = Field(min_length=1, max_length=20_000, description="What to find out.")
    previous_feedback: JsonValue = Field(
        default=None, description="What a review of earlier findings said was missing: a text, or an assessment."
    )

    @model_validator(mode="before")
    @classmethod
    def _main_text(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        found = (given.get(name) for name in MAIN_TEXT)
        topic = next((text.strip() for text in found if isinstance(text, str) and text.strip()), None)
        return {**given, "topic": topic} if topic is not None else given


class Evidence(BaseModel):
    source: str
    text: str


class Output(BaseModel):
    topic: str
    findings: str = Field(description="What was found; [n] cites the n-th source.")
    sources: list[str]
    key_insights: list[str]
    confidence_level: Literal["high", "medium", "low"]
    potential_gaps: list[str]
    evidence: list[Evidence] = Field(
        description="The text of each source that the findings rest on, in the same order."
    )


class Settings(BaseModel):
    """The agent's `config`."""

    search: Literal["documents", "web", "both"] = "documents"
    passages: int = Field(default=3, ge=1, le=20, description="How many passages the topic itself is given.")
    passages_per_gap: int = Field(default=2, ge=1, le=10, description="How many each gap named by feedback is given.")
