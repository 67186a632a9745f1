"""The only module that knows the HTTP library: a switch to its successor is the one import below."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

import httpx

__all__ = ["MAX_BODY", "Answer", "Unanswered", "get"]

Reason: TypeAlias = Literal["timeout", "unreachable", "broken_off", "garbled"]

MAX_BODY = 2 * 1024 * 1024  # bytes of an answer, after decompression


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes | None  # None when it was longer than MAX_BODY


class Unanswered(Exception):
    """No answer could be read. Never carries the library's exception, which may hold headers and so the key."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


async def get(url: str, *, query: Mapping[str, str], headers: Mapping[str, str], patience: float) -> Answer:
    """The answer, whatever its status. Raises Unanswered.

    `patience` is in seconds, for the whole exchange: a server that sends a byte a second does not stretch it.
    Cancelling closes the connection.
    """
    reason: Reason
    try:
        async with asyncio.timeout(patience):
            return await _exchange(url, query, headers, patience)
    except (TimeoutError, httpx.TimeoutException):
        reason = "timeout"
    except (httpx.ConnectError, httpx.InvalidURL, UnicodeError):
        reason = "unreachable"
    except httpx.DecodingError:
        reason = "garbled"
    except httpx.RequestError:
        reason = "broken_off"
    # Raised out here, so that the exception above is not even its context.
    raise Unanswered(reason)


async def _exchange(url: str, query: Mapping[str, str], headers: Mapping[str, str], patience: float) -> Answer:
    # The transport, not the client around it: that one logs addresses, and the query is in ours. Neither proxies nor
    # certificates of the environment. A search is rare enough for a connection each.
    request = httpx.Request(
        "GET",
        url,
        params=dict(query),
        headers=headers,
        extensions={"timeout": httpx.Timeout(patience).as_dict()},
    )
    async with httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False) as transport:
        response = await transport.handle_async_request(request)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY:
                    break
        finally:
            await response.aclose()
    return Answer(
        status=response.status_code,
        headers=dict(response.headers),
        body=bytes(body) if len(body) <= MAX_BODY else None,
    )


@cache
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than a search's own work."""
    return httpx.create_ssl_context(trust_env=False)
