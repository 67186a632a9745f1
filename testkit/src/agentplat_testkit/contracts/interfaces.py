"""The contract of interfaces, as far as it is the same for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar

from agentplat.plugins.targets import load_target
from agentplat_testkit.contracts.plugins import PluginContract


class AbsentClient:
    """A Client of which nothing is known yet: whoever asks it while an application is made asks too early."""

    development = True

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"client.{name} is asked for before anybody sent a request")


class InterfaceContract(PluginContract):
    offers: ClassVar[str] = "interfaces"

    def application(self) -> Callable[..., Awaitable[None]]:
        application: Callable[..., Awaitable[None]] = load_target(self.spec().factory)(AbsentClient())
        return application

    def test_the_application_is_made_without_asking_the_client(self) -> None:
        assert callable(self.application())

    async def test_an_unknown_path_is_not_found_and_breaks_nothing(self) -> None:
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self.application()(_get("/no/such/path"), receive, send)
        assert sent, f"{self.name!r} does not answer"
        assert 400 <= sent[0]["status"] < 500, f"{self.name!r} answers {sent[0]['status']} for a path that is not there"


def _get(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost:8000")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
