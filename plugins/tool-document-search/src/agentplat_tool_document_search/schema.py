"""What goes in, what comes out."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Input(BaseModel):
    query: str = Field(max_length=10_000, description="What to look for, in plain words.")
    limit: int = Field(default=5, ge=1, le=50, description="How many passages to return at most.")


class Found(BaseModel):
    source: str = Field(description="The document, and the heading or line at which the passage stands.")
    text: str
    score: float = Field(description="Higher is better; comparable within one answer only.")
    matched: list[str] = Field(description="The words of the query that the passage contains.")


class Output(BaseModel):
    results: list[Found]
    words: list[str] = Field(description="The words of the query that were looked for.")
    folder: str
    documents: int = Field(description="How many documents were searched.")
    skipped: int = Field(description="How many were left out: too large, not text, or beyond the limits.")
