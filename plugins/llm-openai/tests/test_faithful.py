"""The fake is faithful: OpenAI's own client understands it, and sends it what the provider sends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agentplat_llm_openai.provider import OpenAIProvider
from pydantic import BaseModel

from agentplat import Message, ModelRequest, ToolDescription, ToolRequest

from .conftest import KEY
from .fake import Answer, FakeServer, completion, failed, sent, tool_call

sdk = pytest.importorskip("openai", reason="OpenAI's client is not installed; it is what the fake is checked against")

TOOL = {"name": "calculator", "description": "Computes.", "parameters": {"type": "object", "properties": {}}}
MESSAGES = [{"role": "user", "content": "Hello"}]


class Score(BaseModel):
    score: float
    missing: list[str]


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[Any]:
    async with sdk.AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=0, timeout=20) as client:
        yield client


async def test_it_reads_the_same_reply(client: Any, openai: OpenAIProvider, server: FakeServer) -> None:
    calls = [tool_call("calculator", '{"expression": "1+1"}')]
    for body in (completion("Hello."), completion(None, tool_calls=calls, finish_reason="tool_calls")):
        server.answers = [sent(body)]

        theirs = await client.chat.completions.create(model="m", messages=MESSAGES)
        ours = await openai.complete(ModelRequest(model="m", messages=(Message(role="user", content="Hello"),)))

        message = theirs.choices[0].message
        assert (message.content or "", theirs.choices[0].finish_reason) == (ours.text, ours.finish_reason)
        assert (theirs.usage.prompt_tokens, theirs.usage.completion_tokens) == (1000, 100)
        assert [
            (call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()
        ] == [(request.id, request.tool, request.arguments) for request in ours.tool_requests]


async def test_it_sends_the_same_request(client: Any, openai: OpenAIProvider, server: FakeServer) -> None:
    call = ToolRequest(id="call_1", tool="calculator", arguments={"expression": "1+1"})
    await openai.complete(
        ModelRequest(
            model="m",
            messages=(
                Message(role="system", content="Be exact."),
                Message(role="user", content="How much?"),
                Message(role="assistant", content="", tool_requests=(call,)),
                Message(role="tool", content="2", tool_request_id="call_1"),
            ),
            tools=(ToolDescription(name="calculator", description="Computes.", schema=TOOL["parameters"]),),  # type: ignore[arg-type]  # the literal of the wire
            temperature=0.5,
            max_tokens=10,
        )
    )
    function = {"name": "calculator", "arguments": '{"expression": "1+1"}'}
    await client.chat.completions.create(
        model="m",
        messages=[
            {"role": "system", "content": "Be exact."},
            {"role": "user", "content": "How much?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
            },
            {"role": "tool", "content": "2", "tool_call_id": "call_1"},
        ],
        tools=[{"type": "function", "function": TOOL}],
        temperature=0.5,
        max_completion_tokens=10,
    )

    ours, theirs = server.received
    assert (ours.method, ours.path, ours.json) == (theirs.method, theirs.path, theirs.json)
    for header in ("authorization", "content-type", "accept"):
        assert ours.headers[header] == theirs.headers[header]


async def test_it_asks_for_structured_output_in_the_same_form(
    client: Any, openai: OpenAIProvider, server: FakeServer
) -> None:
    server.answers = [sent(completion('{"score": 0.5, "missing": ["prices"]}'))]
    schema = {**Score.model_json_schema(), "additionalProperties": False}

    theirs = await client.chat.completions.parse(model="m", messages=MESSAGES, response_format=Score)
    ours = await openai.complete(
        ModelRequest(model="m", messages=(Message(role="user", content="Hello"),), output_schema=schema)
    )

    assert theirs.choices[0].message.parsed == Score.model_validate_json(ours.text)
    first, second = (received.json["response_format"] for received in server.received)
    assert first == second
    assert first["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
    ],
)
async def test_it_reads_the_errors(client: Any, server: FakeServer, status: int, name: str) -> None:
    server.answers = [failed(status, "some_code", "some_param", x_request_id="req_1")]

    with pytest.raises(getattr(sdk, name)) as caught:
        await client.chat.completions.create(model="m", messages=MESSAGES)

    error: Any = caught.value
    assert (error.code, error.param, error.request_id) == ("some_code", "some_param", "req_1")


async def test_it_cannot_read_a_broken_answer_either(client: Any, server: FakeServer) -> None:
    server.answers = [Answer(chunks=[b'{"choices": ['], missing=100)]

    with pytest.raises(sdk.APIConnectionError):
        await client.chat.completions.create(model="m", messages=MESSAGES)
