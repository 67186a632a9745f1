"""Every way in which a search can fail, over a real socket."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from agentplat_tool_web_search.failures import LONGEST_RETRY_AFTER, retry_after
from agentplat_tool_web_search.schema import Input
from agentplat_tool_web_search.tool import WebSearch

from agentplat import FailureCode, StepError

from .fake import Answer, FakeServer, failed, found, row
from .test_search import context


async def failure(server: FakeServer, deadline: float = 30.0) -> StepError:
    with pytest.raises(StepError) as caught:
        await WebSearch().execute(
            Input(query="SECRET-QUERY"), context(config={"base_url": server.url}, deadline=deadline)
        )
    seen: BaseException | None = caught.value
    while seen is not None:
        assert "SECRET" not in repr(seen)
        seen = seen.__context__
    assert "SECRET" not in repr(caught.value.failure)
    return caught.value


@pytest.mark.parametrize("value", [None, "", "  \n"])
async def test_a_missing_key_is_refused_and_says_what_to_set_and_where(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("BRAVE_API_KEY")
    else:
        monkeypatch.setenv("BRAVE_API_KEY", value)

    error = await failure(server)

    assert (error.failure.code, error.failure.retryable) == (FailureCode.REFUSED, False)
    assert "Set BRAVE_API_KEY in the environment" in error.failure.message
    assert server.received == []


@pytest.mark.parametrize("value", ["SECRET\r\nX-Evil: 1", "SECRET KEY", "SECRET-ü"])
async def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("BRAVE_API_KEY", value)

    assert (await failure(server)).failure.code is FailureCode.REFUSED
    assert server.received == []


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (204, "invalid_input", False),
        (302, "invalid_input", False),
        (400, "invalid_input", False),
        (401, "refused", False),
        (402, "refused", False),
        (403, "refused", False),
        (404, "invalid_input", False),
        (408, "timeout", True),
        (422, "invalid_input", False),
        (429, "rate_limited", True),
        (500, "unavailable", True),
        (503, "unavailable", True),
    ],
)
@pytest.mark.parametrize("body", ["protocol", "html", "empty", "deep", "huge"])
async def test_every_status_has_its_typed_failure_whatever_the_body(
    server: FakeServer, status: int, code: str, retryable: bool, body: str
) -> None:
    chunks = {"html": [b"<html>SECRET</html>"], "deep": [b'{"error":' * 50_000], "huge": [b"SECRET" * 100_000] * 4}
    server.answer = failed(status) if body == "protocol" else Answer(status=status, chunks=chunks.get(body, []))
    if status == 204:  # has no body by definition
        server.answer = Answer(status=status)

    error = await failure(server)

    assert (error.failure.code, error.failure.retryable) == (code, retryable)
    assert error.failure.details == {"status": status}


@pytest.mark.parametrize("plural", [False, True])
@pytest.mark.parametrize(
    ("status", "code"),
    [(422, "SUBSCRIPTION_TOKEN_INVALID"), (422, "SUBSCRIPTION_TOKEN_MISSING"), (400, "OPTION_NOT_IN_PLAN")],
)
async def test_a_wrong_key_is_told_apart_from_a_wrong_search_by_the_services_code(
    server: FakeServer, status: int, code: str, plural: bool
) -> None:
    server.answer = failed(status, code, plural=plural)

    error = await failure(server)

    assert error.failure.code is FailureCode.REFUSED
    assert "BRAVE_API_KEY" in error.failure.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"SECRET-REPLY",
        b"null",
        b"[]",
        b"{}",
        b'{"web": {"results": []}}',
        b'{"type": "ErrorResponse", "error": {"code": "SECRET"}}',
        b'{"type": "search", "web": {"results": {}}}',
        b'{"type": "search", "web": {"results": [',
        b'{"type": "search", "web": "\xff"}',
        b'{"a":' * 100_000,
        b"x" * (3 * 1024 * 1024),
    ],
)
async def test_what_is_no_search_answer_is_invalid_output_and_never_an_empty_result(
    server: FakeServer, body: bytes
) -> None:
    server.answer = Answer(chunks=[body])

    error = await failure(server)

    assert (error.failure.code, error.failure.retryable) == (FailureCode.INVALID_OUTPUT, True)


async def test_an_answer_above_the_bound_is_not_read_to_its_end(server: FakeServer) -> None:
    server.answer = Answer(chunks=[b"x" * 1024 * 1024] * 3, missing=10**12)

    assert "longer than 2 MiB" in (await failure(server)).failure.message


async def test_the_wait_that_the_service_asks_for_is_in_the_failure(server: FakeServer) -> None:
    server.answer = failed(429, "RATE_LIMITED", X_RateLimit_Remaining="0, 14000", X_RateLimit_Reset="1, 1419704")

    error = await failure(server)

    assert (error.failure.retryable, error.failure.retry_after) == (True, 1.0)


async def test_a_quota_that_is_used_up_is_not_waited_for(server: FakeServer) -> None:
    server.answer = failed(429, "QUOTA_LIMITED", X_RateLimit_Remaining="1, 0", X_RateLimit_Reset="1, 1419704")

    error = await failure(server)

    assert (error.failure.code, error.failure.retryable) == (FailureCode.RATE_LIMITED, False)
    assert "quota" in error.failure.message


NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "30"}, 30.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1e400"}, LONGEST_RETRY_AFTER),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90.0),
        ({"retry-after": "30", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "5"}, 30.0),
        ({"x-ratelimit-remaining": "0, 0", "x-ratelimit-reset": "1, 50"}, 50.0),
        ({"x-ratelimit-remaining": "0, 0", "x-ratelimit-reset": "1"}, 1.0),
        ({"x-ratelimit-remaining": "1, 5", "x-ratelimit-reset": "1, 50"}, None),
        ({"x-ratelimit-remaining": "none", "x-ratelimit-reset": "later"}, None),
    ],
)
def test_retry_after_is_read_from_either_form_and_bounded(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after({**headers, "date": format_datetime(NOW, usegmt=True)}) == expected


async def test_a_service_that_never_answers_is_a_timeout_and_its_connection_closed(server: FakeServer) -> None:
    server.answer = Answer(hang=True)

    assert (await failure(server, deadline=0.2)).failure.code is FailureCode.TIMEOUT
    await asyncio.wait_for(server.gone.wait(), 10)


async def test_a_byte_now_and_then_does_not_stretch_the_time_for_the_whole(server: FakeServer) -> None:
    server.answer = Answer(chunks=[b" "] * 10_000, pause=0.02)

    assert (await failure(server, deadline=0.2)).failure.code is FailureCode.TIMEOUT


@pytest.mark.parametrize(
    "answer",
    [
        Answer(chunks=[b'{"type": "sea'], missing=100),
        Answer(chunks=[b'{"type": "sea'], missing=100, chunked=True),
        Answer(raw=b""),
        Answer(raw=b"SECRET, and no HTTP at all\r\n\r\n"),
    ],
)
async def test_an_answer_that_breaks_off_or_is_no_http_is_unavailable(server: FakeServer, answer: Answer) -> None:
    server.answer = answer

    error = await failure(server)

    assert (error.failure.code, error.failure.retryable) == (FailureCode.UNAVAILABLE, True)


async def test_an_answer_that_cannot_be_decompressed_is_invalid_output(server: FakeServer) -> None:
    server.answer = Answer(headers={"Content-Encoding": "gzip"}, chunks=[b"SECRET"])

    assert (await failure(server)).failure.code is FailureCode.INVALID_OUTPUT


async def test_nobody_listening_is_unavailable(server: FakeServer, unused_tcp_port: int) -> None:
    server.url = f"http://127.0.0.1:{unused_tcp_port}"

    assert (await failure(server)).failure.code is FailureCode.UNAVAILABLE


async def test_a_redirect_is_not_followed_so_that_the_key_stays_where_it_was_sent(server: FakeServer) -> None:
    server.answer = Answer(status=302, headers={"Location": f"{server.url}/elsewhere"})

    await failure(server)

    assert len(server.received) == 1


async def test_proxies_of_the_environment_are_not_used(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")

    await WebSearch().execute(Input(query="x"), context(config={"base_url": server.url}))

    assert len(server.received) == 1


async def test_a_cancelled_search_closes_its_connection(server: FakeServer) -> None:
    server.answer = Answer(hang=True)
    search = asyncio.create_task(WebSearch().execute(Input(query="x"), context(config={"base_url": server.url})))
    await asyncio.wait_for(server.arrived.wait(), 10)

    search.cancel()

    with pytest.raises(asyncio.CancelledError):
        await search
    await asyncio.wait_for(server.gone.wait(), 10)


async def test_neither_key_nor_query_is_in_a_log(server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for answer in (failed(401), found(row("x", "https://example.org/"))):
        server.answer = answer
        with suppress(StepError):
            await WebSearch().execute(Input(query="SECRET-QUERY"), context(config={"base_url": server.url}))

    assert "SECRET" not in caplog.text
