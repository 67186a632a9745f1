"""The only module that knows the HTTP library: a switch to its successor is the one import below."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import httpx

__all__ = ["MAX_BODY", "Answer", "Transport", "Unanswered"]

Reason: TypeAlias = Literal["timeout", "unreachable", "broken_off", "garbled", "address"]

MAX_BODY = 10 * 1024 * 1024  # bytes of an answer, after decompression
CONNECT_TIMEOUT = 10.0  # seconds; a server that is there accepts long before


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


class Transport:
    """Posts JSON. One pool of connections, opened at first use; usable by any number of calls at once."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes, patience: float) -> Answer:
        """The answer, whatever its status. Raises Unanswered.

        `patience` is in seconds, for the whole exchange: a server that sends a byte a second does not stretch it.
        Cancelling closes the connection.
        """
        reason: Reason
        try:
            async with asyncio.timeout(patience):
                return await self._exchange(url, headers, content, patience)
        except (TimeoutError, httpx.TimeoutException):
            reason = "timeout"
        except httpx.ConnectError:
            reason = "unreachable"
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            reason = "address"
        except httpx.DecodingError:
            reason = "garbled"
        except httpx.RequestError:
            reason = "broken_off"
        # Raised out here, so that the exception above is not even its context.
        raise Unanswered(reason)

    async def aclose(self) -> None:
        """Close the connections. A later call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _exchange(self, url: str, headers: Mapping[str, str], content: bytes, patience: float) -> Answer:
        if self._client is None:
            self._client = httpx.AsyncClient(
                # Neither proxies nor certificates nor .netrc from the environment: the address decides alone.
                trust_env=False,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            )
        limits = httpx.Timeout(patience, connect=min(CONNECT_TIMEOUT, patience))
        async with self._client.stream("POST", url, headers=headers, content=content, timeout=limits) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY:
                    break
            return Answer(
                status=response.status_code,
                headers=dict(response.headers),
                body=bytes(body) if len(body) <= MAX_BODY else None,
            )
