"""What goes in, what comes out, what can be set."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field, field_validator, model_validator

MAIN_TEXT = ("text", "description", "query", "research_findings", "previous_output", "topic")
TEXT_FIELDS = ("findings", "summary", "text", "result", "response", "content", "output", "feedback")
MAX_TEXT = 400_000


class Input(BaseModel):
    """The text may also be given as `topic`, `query` or `description`, or be what an earlier step found."""

    text: str = Field(min_length=1, max_length=MAX_TEXT, description="What is summarized.")
    sources: list[str] = Field(default=[], max_length=1_000, description="What the text cites as [n], from 1.")

    @model_validator(mode="before")
    @classmethod
    def _in_any_of_its_forms(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        text = next((given[name] for name in MAIN_TEXT if given.get(name)), None)
        sources = given.get("sources") or (text.get("sources") if isinstance(text, dict) else None)
        return {"sources": sources or []} if text is None else {"sources": sources or [], "text": text}

    @field_validator("text", mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> Any:
        if isinstance(given, str):
            return given.strip()
        if not isinstance(given, dict | list):
            return given
        found = (given.get(name) for name in TEXT_FIELDS) if isinstance(given, dict) else ()
        text = next((text.strip() for text in found if isinstance(text, str) and text.strip()), None)
        return text or json.dumps(given, ensure_ascii=False)


class Output(BaseModel):
    summary: str
    key_points: list[str]
    sources: list[str] = Field(description="What the summary cites as [n]; empty when the text named no sources.")


class Settings(BaseModel):
    """The agent's `config`."""

    sentences: int = Field(default=3, ge=1, le=20, description="How long the summary is.")
    key_points: int = Field(default=5, ge=1, le=20, description="How many key points there are at most.")
