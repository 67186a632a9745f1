"""What comes back when the endpoint answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from agentplat_llm_openai.prices import bill, read_tokens
from agentplat_llm_openai.provider import OpenAIProvider

from agentplat import FailureCode, Message, ModelReply, ModelRequest, StepError, Usage

from .fake import Answer, FakeServer, completion, sent, tool_call

REQUEST = ModelRequest(model="gpt-4.1-mini", messages=(Message(role="user", content="SECRET-PROMPT"),))
JSON_REQUEST = ModelRequest(
    model="gpt-4.1-mini", messages=REQUEST.messages, output_schema={"type": "object", "title": "Score"}
)


async def answered(provider: OpenAIProvider, server: FakeServer, body: Any) -> ModelReply:
    server.answers = [sent(body)]
    return await provider.complete(REQUEST)


async def refused(provider: OpenAIProvider, server: FakeServer, answer: Answer) -> StepError:
    server.answers = [answer]
    with pytest.raises(StepError) as caught:
        await provider.complete(REQUEST)
    assert "SECRET" not in repr(caught.value.failure)
    return caught.value


async def test_a_reply_has_text_usage_and_where_it_came_from(openai: OpenAIProvider, server: FakeServer) -> None:
    reply = await answered(openai, server, completion("Hello."))

    assert reply == ModelReply(
        text="Hello.",
        usage=Usage(input_tokens=1000, output_tokens=100, cost=None),
        finish_reason="stop",
        metadata={"id": "chatcmpl-1", "model": "gpt-4.1-mini-2025-04-14", "finish_reason": "stop"},
    )


async def test_a_body_in_small_chunks_is_read_as_one(openai: OpenAIProvider, server: FakeServer) -> None:
    # OpenRouter sends blanks to keep the connection open; characters may be split between chunks.
    body = b" \n " * 100 + json.dumps(completion("ü\U0001f600"), ensure_ascii=False).encode()
    server.answers = [Answer(chunks=[body[at : at + 7] for at in range(0, len(body), 7)], chunked=True)]

    reply = await openai.complete(REQUEST)

    assert reply.text == "ü\U0001f600"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "refused"),
        ("end_turn", "stop"),
        (None, "stop"),
    ],
)
async def test_every_finish_reason_has_its_word(
    openai: OpenAIProvider, server: FakeServer, said: str | None, expected: str
) -> None:
    reply = await answered(openai, server, completion("Text.", finish_reason=said))

    assert (reply.text, reply.finish_reason) == ("Text.", expected)
    assert reply.metadata.get("finish_reason") == said


async def test_a_refusal_is_a_reply_that_says_so(openai: OpenAIProvider, server: FakeServer) -> None:
    reply = await answered(openai, server, completion(None, refusal="I cannot help with that."))

    assert (reply.finish_reason, reply.text) == ("refused", "I cannot help with that.")
    assert reply.usage.input_tokens == 1000


async def test_text_in_parts_is_put_together(openai: OpenAIProvider, server: FakeServer) -> None:
    parts = [{"type": "text", "text": "One "}, {"type": "image"}, {"type": "text", "text": "two"}]

    assert (await answered(openai, server, completion(content=parts))).text == "One two"


async def test_a_reply_that_spent_everything_on_thinking_is_empty_and_says_length(
    openai: OpenAIProvider, server: FakeServer
) -> None:
    reply = await answered(openai, server, completion(None, finish_reason="length"))

    assert (reply.text, reply.finish_reason) == ("", "length")


async def test_u_0000_in_a_reply_is_replaced_because_no_database_keeps_it(
    openai: OpenAIProvider, server: FakeServer
) -> None:
    assert (await answered(openai, server, completion("a\x00b"))).text == "a\ufffdb"


@pytest.mark.parametrize("fence", ['```json\n{"a": 1}\n```', '\n```\n{"a": 1}\n```\n', '{"a": 1}'])
async def test_json_that_was_asked_for_comes_without_the_fence_that_models_put_around_it(
    openai: OpenAIProvider, server: FakeServer, fence: str
) -> None:
    server.answers = [sent(completion(fence))]

    assert json.loads((await openai.complete(JSON_REQUEST)).text) == {"a": 1}
    assert (await openai.complete(REQUEST)).text == fence


@pytest.mark.parametrize("finish", ["tool_calls", "stop", None])
async def test_tool_calls_arrive_parsed(openai: OpenAIProvider, server: FakeServer, finish: str | None) -> None:
    calls = [
        tool_call("calculator", '{"expression": "1+1", "deep": [1, 2.5, null, true]}', "call_a"),
        tool_call("web_search", "", ""),
        {"id": None, "function": {"name": "clock", "arguments": {"zone": "UTC"}}},
        {"function": {"name": "clock", "arguments": None}},
    ]

    reply = await answered(openai, server, completion(None, tool_calls=calls, finish_reason=finish))

    assert reply.finish_reason == "tool_calls"
    assert [(request.id, request.tool, request.arguments) for request in reply.tool_requests] == [
        ("call_a", "calculator", {"expression": "1+1", "deep": [1, 2.5, None, True]}),
        ("call_1", "web_search", {}),
        ("call_2", "clock", {"zone": "UTC"}),
        ("call_3", "clock", {}),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        '{"expression": "1+',
        "SECRET-REPLY",
        "[1]",
        '"text"',
        "null",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": 1e999}',
        '{"a": %s}' % ("9" * 5000),
        '{"a": "\\u0000"}',
        '{"a": "\\ud800"}',
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
async def test_arguments_that_are_no_storable_json_object_are_invalid_output(
    openai: OpenAIProvider, server: FakeServer, arguments: str
) -> None:
    error = await refused(openai, server, sent(completion(None, tool_calls=[tool_call("calculator", arguments)])))

    assert (error.failure.code, error.failure.retryable) == (FailureCode.INVALID_OUTPUT, True)
    assert "arguments of a tool call" in error.failure.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"SECRET-REPLY",
        b"<html>SECRET-REPLY</html>",
        b"null",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": null}]}',
        b'{"choices": [{"message": {}}]}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b'{"choices": [{"message": {"content": "SECRET-REPLY \\ud800"}}]}',
        b'{"choices": [{"message": {"tool_calls": [{}]}}]}',
        b'{"choices": [{"message": {"tool_calls": [{"function": {"name": "a\\u0000"}}]}}]}',
        b'{"choices": {"message": {"content": "SECRET-REPLY"}}}',
        b'{"choices": [{"message": {"content": "SECRET-REPLY"}}',
        b'{"choices": [{"message": {"content": "\xff\xfe"}}]}',
        b'{"a":' * 100_000,
        b"9" * 100_000,
    ],
)
async def test_what_is_no_chat_answer_is_invalid_output(
    openai: OpenAIProvider, server: FakeServer, body: bytes
) -> None:
    error = await refused(openai, server, Answer(chunks=[body]))

    assert (error.failure.code, error.failure.retryable) == (FailureCode.INVALID_OUTPUT, True)


async def test_an_answer_above_the_bound_is_not_read_to_its_end(openai: OpenAIProvider, server: FakeServer) -> None:
    megabyte = b"x" * 1024 * 1024
    error = await refused(openai, server, Answer(chunks=[megabyte] * 12, missing=10**12))

    assert error.failure.code is FailureCode.INVALID_OUTPUT
    assert "longer than 10 MiB" in error.failure.message


async def test_the_price_of_a_local_model_is_unknown(
    connect: Callable[[str], OpenAIProvider], server: FakeServer
) -> None:
    for preset in ("ollama", "vllm"):
        reply = await answered(connect(preset), server, completion())

        assert reply.usage == Usage(input_tokens=1000, output_tokens=100, cost=None)
        assert "cost_from" not in reply.metadata


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost": 0.00014}, 140),
        ({"cost": 0.95}, 950_000),
        ({"cost": 0}, 0),
        ({"cost": 0.0000001}, 1),
        ({"cost": 0.001, "is_byok": False, "cost_details": {"upstream_inference_cost": 19}}, 1000),
        ({"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.002}}, 3000),
        ({"cost": 0.001, "is_byok": True}, None),
        ({"cost": -1}, None),
        ({"cost": "0.5"}, None),
        ({"cost": True}, None),
        ({"cost": 1e300}, None),
        ({"cost": None}, None),
        ({}, None),
    ],
)
async def test_the_cost_that_a_reply_states_is_taken_in_micro_dollars(
    connect: Callable[[str], OpenAIProvider], server: FakeServer, usage: dict[str, Any], cost: int | None
) -> None:
    counts = {"prompt_tokens": 10, "completion_tokens": 5}

    reply = await answered(connect("openrouter"), server, completion(usage={**counts, **usage}))

    assert reply.usage == Usage(input_tokens=10, output_tokens=5, cost=cost)
    assert reply.metadata.get("cost_from") == (None if cost is None else "reply")


@pytest.mark.parametrize(
    ("url", "model", "cached", "expected"),
    [
        # 1,000 tokens at $0.40 and 100 at $1.60 a million; cached ones at $0.10
        ("https://api.openai.com/v1", "gpt-4.1-mini", 0, 560),
        ("https://api.openai.com/v1", "gpt-4.1-mini", 1000, 260),
        ("https://openrouter.ai/api/v1", "openai/gpt-4.1-mini", 0, 560),
        ("https://api.openai.com/v1", "no-such-model", 0, None),
        ("https://gateway.example/v1", "gpt-4.1-mini", 0, None),
        ("http://127.0.0.1:11434/v1", "gpt-4.1-mini", 0, None),
    ],
)
async def test_without_a_stated_cost_the_price_list_is_asked_and_may_not_know(
    url: str, model: str, cached: int, expected: int | None
) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": cached}}

    found = await bill(usage, model=model, url=url)

    assert found.usage.cost == expected
    assert ("cost_from" in found.remarks) is (expected is not None)


@pytest.mark.parametrize(
    ("usage", "remark"),
    [
        (None, "missing"),
        ("many", "unreadable"),
        ([], "unreadable"),
        ({}, "unreadable"),
        ({"prompt_tokens": 1}, "unreadable"),
        ({"prompt_tokens": -1, "completion_tokens": 1}, "unreadable"),
        ({"prompt_tokens": 1.5, "completion_tokens": 1}, "unreadable"),
        ({"prompt_tokens": "1", "completion_tokens": 1}, "unreadable"),
        ({"prompt_tokens": True, "completion_tokens": 1}, "unreadable"),
        ({"prompt_tokens": 2**63, "completion_tokens": 1}, "unreadable"),
    ],
)
async def test_usage_that_cannot_be_true_is_nothing_counted_at_an_unknown_cost(
    openai: OpenAIProvider, server: FakeServer, usage: Any, remark: str
) -> None:
    body = completion()
    body["usage"] = usage

    reply = await answered(openai, server, body)

    assert reply.text == "A reply."
    assert reply.usage == Usage(input_tokens=0, output_tokens=0, cost=None)
    assert reply.metadata["usage"] == remark


def test_whole_floats_are_counts_and_absurd_cache_hits_are_bounded() -> None:
    tokens = read_tokens(
        {"prompt_tokens": 12.0, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 99}}
    )

    assert tokens is not None
    assert (tokens.input, tokens.output, tokens.cached) == (12, 3, 12)
    for infinite in (float("inf"), float("nan")):
        assert read_tokens({"prompt_tokens": infinite, "completion_tokens": 3}) is None
