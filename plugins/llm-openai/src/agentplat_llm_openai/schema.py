"""What the chat protocol sends back, as far as it is read. Lenient about what is not needed, strict about the rest."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

__all__ = ["Choice", "Completion", "Failed", "Fault", "Reply", "Requested"]


class Fault(BaseModel):
    """An error that the endpoint reports. Its `message` is not read: it may repeat the prompt or the key."""

    code: Any = None
    type: Any = None
    param: Any = None


class Failed(BaseModel):
    """The body of an error answer."""

    error: Fault


class Called(BaseModel):
    name: str
    arguments: str | dict[str, Any] | None = None


class Requested(BaseModel):
    """A tool that the model asks for."""

    id: str | None = None
    function: Called


class Part(BaseModel):
    text: str = ""


class Reply(BaseModel):
    content: str | list[Part] | None = None
    refusal: str | None = None
    tool_calls: list[Requested] | None = None


class Choice(BaseModel):
    message: Reply | None = None
    finish_reason: str | None = None
    error: Fault | None = None


class Completion(BaseModel):
    """The body of an answer with status 200, which may hold an error all the same (OpenRouter does that)."""

    id: Any = None
    model: Any = None
    choices: list[Choice] = []
    usage: Any = None
    error: Fault | None = None
