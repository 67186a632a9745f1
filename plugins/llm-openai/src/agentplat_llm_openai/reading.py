"""From the body of a chat answer to a ModelReply."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from agentplat import JsonObject, JsonValue, ModelReply, ToolRequest
from agentplat_llm_openai.failures import Endpoint, unreadable
from agentplat_llm_openai.prices import Bill
from agentplat_llm_openai.schema import Choice, Completion, Failed, Fault, Reply, Requested

__all__ = ["completion", "fault_of", "fault_within", "reply", "status_of"]

ModelT = TypeVar("ModelT", bound=BaseModel)

MAX_DIGITS = 300  # of an integer in a tool's arguments: more cannot be kept
_FINISH: Mapping[str, Literal["stop", "length", "refused"]] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "refused",
}
_FENCE = re.compile(r"\s*```[a-zA-Z]*\s*\n(?P<inner>.*?)\n?\s*```\s*", re.DOTALL)


def completion(endpoint: Endpoint, body: bytes | None) -> Completion:
    """The answer's body, read. Raises StepError `invalid_output`."""
    if body is None:
        raise unreadable(endpoint, "it is longer than 10 MiB")
    found = _parsed(Completion, body)
    if found is None:
        raise unreadable(endpoint, "it is not what the chat protocol sends")
    return found


def fault_of(body: bytes | None) -> Fault | None:
    """The error that the body of an error answer describes; None when it describes none that can be read."""
    failed = None if body is None else _parsed(Failed, body)
    return None if failed is None else failed.error


def fault_within(answer: Completion) -> Fault | None:
    """The error that an answer with status 200 holds instead of a reply."""
    first = answer.choices[0] if answer.choices else Choice()
    if answer.error is not None or first.error is not None:
        return answer.error or first.error
    return Fault() if first.finish_reason == "error" else None


def status_of(fault: Fault) -> int:
    """The status that an error inside a successful answer stands for; 500 where it does not say."""
    code = fault.code
    if isinstance(code, str) and re.fullmatch(r"[45][0-9]{2}", code):
        return int(code)
    return code if isinstance(code, int) and 400 <= code <= 599 else 500


def reply(endpoint: Endpoint, answer: Completion, bill: Bill, *, wants_json: bool) -> ModelReply:
    """The reply of the first choice. Raises StepError `invalid_output`."""
    choice = answer.choices[0] if answer.choices else Choice()
    message = choice.message
    if message is None:
        raise unreadable(endpoint, "it holds no reply")
    requests = tuple(_request(endpoint, number, call) for number, call in enumerate(message.tool_calls or ()))
    text = _text(message)
    refused = not text and not requests and message.refusal is not None
    if text is None and not requests and not refused and choice.finish_reason not in _FINISH:
        raise unreadable(endpoint, "the reply holds neither text nor tool calls")
    shown = _storable_text(message.refusal or "" if refused else text or "")
    if wants_json and not refused:
        shown = _unfenced(shown)
    return ModelReply(
        text=shown,
        usage=bill.usage,
        finish_reason="refused" if refused else _finish(choice, asks_tools=bool(requests)),
        tool_requests=requests,
        metadata=_metadata(answer, choice) | dict(bill.remarks),
    )


def _finish(choice: Choice, *, asks_tools: bool) -> Literal["stop", "length", "tool_calls", "refused"]:
    known = _FINISH.get(choice.finish_reason or "")
    if known is not None:
        return known
    # Some servers say `stop`, or a word of their own, beside tool calls.
    return "tool_calls" if asks_tools else "stop"


def _metadata(answer: Completion, choice: Choice) -> dict[str, JsonValue]:
    said = {"id": answer.id, "model": answer.model, "finish_reason": choice.finish_reason}
    return {name: _storable_text(value[:200]) for name, value in said.items() if isinstance(value, str)}


def _text(message: Reply) -> str | None:
    if isinstance(message.content, list):
        return "".join(part.text for part in message.content)
    return message.content


def _storable_text(text: str) -> str:
    # No database keeps U+0000 in a text. (Half a surrogate pair does not get past the parser.)
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _unfenced(text: str) -> str:
    """What is inside a fenced block, where a model wraps the JSON that it was asked for in one."""
    fenced = _FENCE.fullmatch(text)
    return fenced["inner"] if fenced else text


def _request(endpoint: Endpoint, number: int, call: Requested) -> ToolRequest:
    arguments = _arguments(call.function.arguments)
    if arguments is None:
        raise unreadable(endpoint, "the arguments of a tool call are not a JSON object that can be kept")
    if "\x00" in call.function.name or "\x00" in (call.id or ""):
        raise unreadable(endpoint, "the name or the id of a tool call holds the character U+0000")
    return ToolRequest(id=call.id or f"call_{number}", tool=call.function.name, arguments=arguments)


def _arguments(sent: str | dict[str, Any] | None) -> JsonObject | None:
    """The arguments, parsed; None when they are no JSON object, or hold what cannot be kept."""
    text = json.dumps(sent) if isinstance(sent, dict) else sent
    if text is None or not text.strip():
        return {}  # how some models call a tool without parameters
    try:
        found = json.loads(text, parse_constant=_refuse, parse_int=_integer, parse_float=_finite)
        kept = json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and b"\\u0000" not in kept else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("too many digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    return number if abs(number) != float("inf") else _refuse(digits)


def _parsed(model: type[ModelT], body: bytes) -> ModelT | None:
    try:
        return model.model_validate_json(body)
    except ValidationError:  # dropped, not chained: its text repeats the body
        return None
