"""What an isolated step and its worker say to each other: JSON, one value a line.

The worker begins with the order. The step asks (`call`, answered under its `id`; `cancel`), tells (`log`, `emit`) and
ends with `output` or `failure`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentplat.contracts.model import Message, ModelReply, Passage, ToolRequest
from agentplat.domain.errors import StepError
from agentplat.domain.failure import Failure
from agentplat.domain.json import JsonValue
from agentplat.domain.usage import Usage
from agentplat.engine.steps.invocation import json_text

MAX_FRAME = 8 * 1024 * 1024
"""Of what a step sends. Outputs and answers are bounded at 1 MiB elsewhere; this is for prompts."""


def frame(value: JsonValue) -> bytes:
    """The line that says `value`. Raises ValueError or TypeError for what is not JSON."""
    return json_text(value).encode() + b"\n"


def unframed(line: bytes) -> dict[str, Any]:
    """The object that a line says. Raises ValueError for another value, and for what is not JSON."""
    try:
        value = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - for the caller it is malformed, like the others
    return value


def failed(failure: Mapping[str, JsonValue]) -> StepError:
    """The error that `Failure.to_json` wrote down."""
    read = Failure.from_json(failure)
    return StepError(
        read.code, read.message, retryable=read.retryable, retry_after=read.retry_after, details=read.details
    )


def written_prompt(prompt: str | Sequence[Message]) -> JsonValue:
    """JSON of a prompt."""
    if isinstance(prompt, str):
        return prompt
    return [
        {
            "role": message.role,
            "content": message.content,
            "tool_requests": [_written_request(asked) for asked in message.tool_requests],
            "tool_request_id": message.tool_request_id,
        }
        for message in prompt
    ]


def read_prompt(written: Any) -> str | Sequence[Message]:
    """The prompt that `written_prompt` wrote down."""
    if isinstance(written, str):
        return written
    return tuple(
        Message(**{**message, "tool_requests": tuple(ToolRequest(**asked) for asked in message["tool_requests"])})
        for message in written
    )


def written_passages(passages: Sequence[Passage]) -> JsonValue:
    """JSON of passages."""
    return [{"source": passage.source, "text": passage.text} for passage in passages]


def read_passages(written: Any) -> Sequence[Passage]:
    """The passages that `written_passages` wrote down."""
    return tuple(Passage(**passage) for passage in written)


def written_reply(reply: ModelReply) -> JsonValue:
    """JSON of a reply with its usage."""
    return {
        "text": reply.text,
        "usage": reply.usage.to_json(),
        "finish_reason": reply.finish_reason,
        "tool_requests": [_written_request(asked) for asked in reply.tool_requests],
        "metadata": reply.metadata,
    }


def read_reply(written: Any) -> ModelReply:
    """The reply that `written_reply` wrote down."""
    requests = tuple(ToolRequest(**asked) for asked in written["tool_requests"])
    return ModelReply(**{**written, "usage": Usage.from_json(written["usage"]), "tool_requests": requests})


def _written_request(asked: ToolRequest) -> JsonValue:
    return {"id": asked.id, "tool": asked.tool, "arguments": asked.arguments}
