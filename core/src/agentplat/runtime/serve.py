"""One server on one port: every installed interface is mounted under its prefix.

Without credentials it binds the loopback interface only, and refuses requests that a foreign page or a rebound name
sent: their Host or Origin names another machine.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from importlib import import_module
from typing import Any

from agentplat.contracts.interface import Client
from agentplat.domain.errors import SettingsInvalid
from agentplat.plugins.registry import Registries

_LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)
_LOCAL_ORIGIN = re.compile(rf"https?://{_LOCAL_HOST.pattern}", re.IGNORECASE)
_KEEP_ALIVE_SECONDS = 30
_GRACE_SECONDS = 5


def require_loopback(host: str) -> None:
    """SettingsInvalid for an address that other machines reach: there are no credentials yet to protect it."""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise SettingsInvalid(
            f"{host} can be reached from other machines, and this version has no credentials to ask for. "
            "Bind 127.0.0.1 (the default) and put an authenticating proxy in front of it."
        )


class LocalOnly:
    """ASGI middleware: 403 for a Host or Origin of another machine."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
            foreign = _foreign(headers)
            if foreign is not None:
                await _refuse(scope, receive, send, foreign)
                return
        await self._app(scope, receive, send)


def _foreign(headers: dict[str, str]) -> str | None:
    host = headers.get("host", "")
    if not _LOCAL_HOST.fullmatch(host):
        return f"Host {host!r}"
    origin = headers.get("origin")
    if origin is not None and not _LOCAL_ORIGIN.fullmatch(origin):
        return f"Origin {origin!r}"
    return None


async def _refuse(scope: Any, receive: Any, send: Any, foreign: str) -> None:
    detail = f"{foreign} is not this machine. Without credentials only local requests are served."
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": detail[:120]})
        return
    import json

    body = json.dumps(
        {
            "type": "about:blank",
            "title": "Forbidden",
            "status": 403,
            "detail": detail,
            "error_code": "foreign_origin",
            "instance": scope["path"],
        }
    ).encode()
    head = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": head})
    await send({"type": "http.response.body", "body": body})


def compose(registries: Registries, client: Client) -> Any:
    """One ASGI application of all interfaces; the longest prefix that fits a path gets the request."""
    mounts = []
    for spec in registries.interfaces:
        module, _, name = spec.factory.partition(":")
        mounts.append((spec.prefix.rstrip("/"), getattr(import_module(module), name)(client)))
    if not mounts:
        raise SettingsInvalid("No installed plugin offers an interface: see `agentplat plugins`.")
    return LocalOnly(_Mounts(sorted(mounts, key=lambda mount: -len(mount[0]))))


class _Mounts:
    def __init__(self, mounts: list[tuple[str, Any]]) -> None:
        self._mounts = mounts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            # Interfaces get what they need at construction; only the root one is told of start and end.
            await self._mounts[-1][1](scope, receive, send)
            return
        path = scope["path"]
        for prefix, app in self._mounts:
            if not prefix or path == prefix or path.startswith(prefix + "/"):
                inner = {**scope, "root_path": scope.get("root_path", "") + prefix} if prefix else scope
                await app(inner, receive, send)
                return
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def bound(host: str, port: int) -> tuple[socket.socket, str]:
    """A socket that listens on the address, and the URL that leads there. SettingsInvalid when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise SettingsInvalid(f"Port {port} of {host} cannot be bound: {reason}. Choose another: --port.") from None
    # asyncio sets it on its own sockets only; without it each answer waits 40 ms for the client's acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = f"[{host}]" if family is socket.AF_INET6 else host
    return listening, f"http://{name}:{listening.getsockname()[1]}"


def make_server(app: Any) -> Any:
    """A uvicorn server that trusts no forwarded header, and leaves signals to whoever runs it."""
    import uvicorn

    class Server(uvicorn.Server):
        def capture_signals(self) -> Any:
            return contextlib.nullcontext()

    return Server(
        uvicorn.Config(
            app,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            log_config=None,
            access_log=False,
            ws_max_size=64 * 1024,
            h11_max_incomplete_event_size=64 * 1024,
        )
    )
