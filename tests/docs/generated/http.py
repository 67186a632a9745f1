"""The operations of the HTTP API, and the providers of models."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentplat_interface_rest.app import create_app

from agentplat.plugins.host import load_plugins
from agentplat.runtime.app import open_platform
from agentplat.runtime.settings import load_settings

from .tables import code, table


def operations() -> str:
    """Every operation of the OpenAPI document, and the WebSocket."""
    return table(("operation", "what it does"), [*_operations(asyncio.run(_document())), _WEBSOCKET])


_WEBSOCKET = (code("WS /ws"), "One JSON message per change of a task; `ping` answers `pong`")


async def _document() -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "agentplat.db"
        async with open_platform(load_settings(database_url=f"sqlite:///{file}")) as platform:
            return create_app(platform.client()).openapi()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield code(f"{method.upper()} {path}"), operation["summary"]


def providers() -> str:
    """Every installed provider of models."""
    rows = [
        (
            code(spec.name),
            code(spec.default_model),
            ", ".join(map(code, spec.requires)) or "nothing",
            str(spec.rank) if spec.automatic else "only when named",
            "yes" if spec.generates else "no, it selects",
            "yes" if spec.leaves_machine else "no",
        )
        for spec in load_plugins().registries.model_providers
    ]
    columns = ("provider", "model unless named", "needs", "rank", "generates", "text leaves the machine")
    return table(columns, rows)
