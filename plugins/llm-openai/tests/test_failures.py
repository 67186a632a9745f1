"""Every way in which an endpoint can fail, over a real socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from agentplat_llm_openai.failures import LONGEST_RETRY_AFTER, retry_after
from agentplat_llm_openai.provider import OpenAIProvider

from agentplat import FailureCode, Message, ModelRequest, StepError

from .fake import Answer, FakeServer, completion, failed, sent

REQUEST = ModelRequest(model="gpt-4.1-mini", messages=(Message(role="user", content="SECRET-PROMPT"),), timeout=20.0)
HASTY = ModelRequest(model="gpt-4.1-mini", messages=REQUEST.messages, timeout=0.2)


async def failure(provider: OpenAIProvider, request: ModelRequest = REQUEST) -> StepError:
    with pytest.raises(StepError) as caught:
        await provider.complete(request)
    assert "SECRET" not in f"{caught.value!r} {caught.value.failure!r}"
    seen: BaseException | None = caught.value
    while seen is not None:
        assert "SECRET" not in repr(seen)
        seen = seen.__context__
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (301, "invalid_input", False),
        (307, "invalid_input", False),
        (400, "invalid_input", False),
        (401, "refused", False),
        (402, "refused", False),
        (403, "refused", False),
        (404, "invalid_input", False),
        (408, "timeout", True),
        (409, "unavailable", True),
        (413, "invalid_input", False),
        (418, "invalid_input", False),
        (422, "invalid_input", False),
        (425, "unavailable", True),
        (429, "rate_limited", True),
        (500, "unavailable", True),
        (502, "unavailable", True),
        (503, "unavailable", True),
        (529, "unavailable", True),
    ],
)
@pytest.mark.parametrize("body", ["protocol", "html", "empty", "huge"])
async def test_every_status_has_its_typed_failure_whatever_the_body(
    openai: OpenAIProvider, server: FakeServer, status: int, code: str, retryable: bool, body: str
) -> None:
    bodies = {
        "protocol": failed(status),
        "html": Answer(status=status, chunks=[b"<html>SECRET-REPLY</html>"]),
        "empty": Answer(status=status),
        "huge": Answer(status=status, chunks=[b"SECRET" * 200_000] * 9),
    }
    server.answers = [bodies[body]]

    error = await failure(openai)

    assert (error.failure.code, error.failure.retryable) == (code, retryable)
    assert error.failure.details == {"provider": "openai", "status": status}
    assert error.failure.message.startswith("openai: ")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_names_the_variable_to_check(
    connect: Callable[[str], OpenAIProvider], server: FakeServer, status: int
) -> None:
    server.answers = [failed(status, "invalid_api_key")]

    assert "OPENROUTER_API_KEY" in (await failure(connect("openrouter"))).failure.message


@pytest.mark.parametrize("value", [None, "", "  "])
async def test_a_missing_key_is_refused_before_anything_is_sent(
    openai: OpenAIProvider, server: FakeServer, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("OPENAI_API_KEY")
    else:
        monkeypatch.setenv("OPENAI_API_KEY", value)

    error = await failure(openai)

    assert (error.failure.code, error.failure.retryable) == (FailureCode.REFUSED, False)
    assert "OPENAI_API_KEY" in error.failure.message
    assert server.connections == 0


@pytest.mark.parametrize("value", ["sk-SECRET\r\nX-Evil: 1", "sk SECRET", "sk-SECRET-ü", "sk-SECRET-\udcff"])
async def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(
    openai: OpenAIProvider, server: FakeServer, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)

    assert (await failure(openai)).failure.code is FailureCode.REFUSED
    assert server.connections == 0


async def test_the_key_is_read_at_every_call_and_a_line_end_after_it_forgiven(
    openai: OpenAIProvider, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("sk-one\n", "sk-two"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        await openai.complete(REQUEST)

    assert [received.headers["authorization"] for received in server.received] == ["Bearer sk-one", "Bearer sk-two"]


async def test_local_servers_need_no_key(
    connect: Callable[[str], OpenAIProvider], server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = connect("ollama")
    monkeypatch.delenv("OLLAMA_API_KEY")

    await provider.complete(REQUEST)

    assert "authorization" not in server.received[0].headers


@pytest.mark.parametrize(
    ("status", "code", "expected", "retryable", "word"),
    [
        (400, "content_filter", "refused", False, "content filter"),
        (400, "context_length_exceeded", "invalid_input", False, "longer than the model's context"),
        (404, "model_not_found", "invalid_input", False, "gpt-4.1-mini"),
        (429, "insufficient_quota", "rate_limited", False, "quota"),
        (429, "rate_limit_exceeded", "rate_limited", True, "too many requests"),
        (400, "SECRET-CODE", "invalid_input", False, "status 400"),
        (400, {"deep": ["SECRET"]}, "invalid_input", False, "status 400"),
        (400, 7, "invalid_input", False, "status 400"),
    ],
)
async def test_known_codes_are_told_apart_and_unknown_ones_not_repeated(
    openai: OpenAIProvider, server: FakeServer, status: int, code: Any, expected: str, retryable: bool, word: str
) -> None:
    server.answers = [failed(status, code)]

    error = await failure(openai)

    assert (error.failure.code, error.failure.retryable) == (expected, retryable)
    assert word in error.failure.message


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (429, "rate_limited"),
        ("429", "rate_limited"),
        (502, "unavailable"),
        (408, "timeout"),
        (401, "refused"),
        (400, "invalid_input"),
        ("content_filter", "refused"),
        ("server_error", "unavailable"),
        (None, "unavailable"),
        (0, "unavailable"),
        (10**30, "unavailable"),
    ],
)
@pytest.mark.parametrize("place", ["body", "choice"])
async def test_an_error_inside_a_successful_answer_is_a_failure(
    connect: Callable[[str], OpenAIProvider], server: FakeServer, code: Any, expected: str, place: str
) -> None:
    fault = {"code": code, "message": "SECRET-REPLY", "metadata": {"raw": "SECRET"}}
    whole = completion("SECRET-REPLY", finish_reason="error")
    whole["choices"][0]["error"] = fault
    server.answers = [sent({"error": fault} if place == "body" else whole)]

    assert (await failure(connect("openrouter"))).failure.code == expected


async def test_a_reply_that_ended_in_an_error_is_unavailable(openai: OpenAIProvider, server: FakeServer) -> None:
    server.answers = [sent(completion("SECRET-REPLY", finish_reason="error"))]

    assert (await failure(openai)).failure.code is FailureCode.UNAVAILABLE


@pytest.mark.parametrize("status", [429, 503])
async def test_the_wait_that_the_endpoint_asks_for_is_in_the_failure(
    openai: OpenAIProvider, server: FakeServer, status: int
) -> None:
    server.answers = [failed(status, retry_after="7.5"), failed(status)]

    assert (await failure(openai)).failure.retry_after == 7.5
    assert (await failure(openai)).failure.retry_after is None


NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 1.5 ", 1.5),
        ("-5", 0.0),
        ("1000000000", LONGEST_RETRY_AFTER),
        ("1e400", LONGEST_RETRY_AFTER),
        ("inf", LONGEST_RETRY_AFTER),
        ("nan", None),
        ("", None),
        ("soon", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Mon, 23 Nov 2026 12:01:00 -0000", 60.0),
        ("Mon, 99 Nov 2026 12:01:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(value: str, expected: float | None) -> None:
    assert retry_after({"retry-after": value, "date": format_datetime(NOW, usegmt=True)}) == expected


def test_a_date_without_the_servers_clock_is_measured_by_ours() -> None:
    found = retry_after({"retry-after": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)})

    assert found is not None
    assert 3000 < found <= 3600


async def test_an_endpoint_that_never_answers_is_a_timeout(openai: OpenAIProvider, server: FakeServer) -> None:
    server.answers = [Answer(hang=True)]

    error = await failure(openai, HASTY)

    assert error.failure.code is FailureCode.TIMEOUT
    assert "0.2 s" in error.failure.message
    await asyncio.wait_for(server.gone.wait(), 10)


async def test_a_byte_now_and_then_does_not_stretch_the_time_for_the_whole(
    openai: OpenAIProvider, server: FakeServer
) -> None:
    server.answers = [Answer(chunks=[b" "] * 10_000, pause=0.02)]

    assert (await failure(openai, HASTY)).failure.code is FailureCode.TIMEOUT


async def test_no_time_left_is_a_timeout(openai: OpenAIProvider, server: FakeServer) -> None:
    request = ModelRequest(model="m", messages=REQUEST.messages, timeout=-1.0)

    assert (await failure(openai, request)).failure.code is FailureCode.TIMEOUT


@pytest.mark.parametrize(
    "answer",
    [
        Answer(chunks=[b'{"choices": [{"mess'], missing=100),
        Answer(chunks=[b'{"choices": [{"mess'], missing=100, chunked=True),
        Answer(chunks=["ü".encode()[:1]], missing=100),
        Answer(missing=100),
        Answer(raw=b""),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
        Answer(raw=b"SECRET-REPLY, and no HTTP at all\r\n\r\n"),
        Answer(raw=b"\x16\x03\x01\x00\x05SECRET"),
        Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nSECRET"),
    ],
)
async def test_an_answer_that_breaks_off_or_is_no_http_is_unavailable(
    openai: OpenAIProvider, server: FakeServer, answer: Answer
) -> None:
    server.answers = [answer]

    error = await failure(openai)

    assert (error.failure.code, error.failure.retryable) == (FailureCode.UNAVAILABLE, True)


async def test_an_answer_that_cannot_be_decompressed_is_invalid_output(
    openai: OpenAIProvider, server: FakeServer
) -> None:
    server.answers = [Answer(headers={"Content-Encoding": "gzip"}, chunks=[b"SECRET"])]

    assert (await failure(openai)).failure.code is FailureCode.INVALID_OUTPUT


async def test_nobody_listening_is_unavailable_and_says_where(
    connect: Callable[[str], OpenAIProvider], server: FakeServer, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.url = f"http://127.0.0.1:{unused_tcp_port}/v1"

    error = await failure(connect("ollama"))

    assert (error.failure.code, error.failure.retryable) == (FailureCode.UNAVAILABLE, True)
    assert server.url in error.failure.message
    assert "OLLAMA_HOST" in error.failure.message


async def test_an_unusable_address_is_refused_and_not_repeated(
    connect: Callable[[str], OpenAIProvider], server: FakeServer
) -> None:
    server.url = "http://user:SECRET@127.0.0.1/v1"

    error = await failure(connect("openai"))

    assert (error.failure.code, error.failure.retryable) == (FailureCode.REFUSED, False)
    assert "OPENAI_BASE_URL" in error.failure.message


async def test_a_name_that_no_host_can_have_is_invalid_input(
    connect: Callable[[str], OpenAIProvider], server: FakeServer
) -> None:
    server.url = f"http://{'a' * 70}.example/v1"

    assert (await failure(connect("openai"))).failure.code in {FailureCode.INVALID_INPUT, FailureCode.UNAVAILABLE}


async def test_proxies_of_the_environment_are_not_used(
    openai: OpenAIProvider, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert (await openai.complete(REQUEST)).text == "A reply."


async def test_a_redirect_is_not_followed_so_that_the_key_stays_where_it_was_sent(
    openai: OpenAIProvider, server: FakeServer
) -> None:
    server.answers = [Answer(status=307, headers={"Location": f"{server.url}/elsewhere"})]

    await failure(openai)

    assert len(server.received) == 1


async def test_a_cancelled_call_closes_its_connection(openai: OpenAIProvider, server: FakeServer) -> None:
    server.answers = [Answer(hang=True)]
    call = asyncio.create_task(openai.complete(REQUEST))
    await asyncio.wait_for(server.arrived.wait(), 10)

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(server.gone.wait(), 10)


async def test_calls_at_once_do_not_mix_their_replies(openai: OpenAIProvider, server: FakeServer) -> None:
    server.answers = [Answer(status=500, chunks=[b"x"], pause=0.02), sent(completion("Fine."))]

    results = await asyncio.gather(*(openai.complete(REQUEST) for _ in range(30)), return_exceptions=True)

    assert sum(isinstance(result, StepError) for result in results) == 1
    assert [result.text for result in results if not isinstance(result, BaseException)] == ["Fine."] * 29


async def test_a_closed_provider_may_be_used_again(openai: OpenAIProvider, server: FakeServer) -> None:
    await openai.aclose()
    await openai.complete(REQUEST)
    await openai.aclose()

    assert (await openai.complete(REQUEST)).text == "A reply."
    assert server.connections == 2


async def test_the_key_and_the_texts_are_in_no_log(
    openai: OpenAIProvider, server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers = [sent(completion("SECRET-REPLY")), failed(401), failed(500)]

    await openai.complete(REQUEST)
    await failure(openai)
    await failure(openai)

    assert "SECRET" not in caplog.text
    assert "SECRET" not in repr(vars(openai))
