"""What goes in, what comes out, what can be set."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Input(BaseModel):
    text: str = Field(min_length=1, max_length=100_000, description="What the agent reads.")


class Output(BaseModel):
    text: str


class Settings(BaseModel):
    """The agent's `config`."""

    sentences: int = Field(default=2, ge=1, le=10, description="How long the answer is.")
