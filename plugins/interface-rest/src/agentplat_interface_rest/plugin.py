"""Offers the REST interface."""

from __future__ import annotations

from collections.abc import Iterable

from agentplat import InterfaceSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_interfaces() -> Iterable[InterfaceSpec]:
    """The REST interface, at the root."""
    return [
        InterfaceSpec(
            name="rest",
            description="REST, WebSocket and OpenAPI.",
            factory="agentplat_interface_rest.app:create_app",
            prefix="/",
        )
    ]
