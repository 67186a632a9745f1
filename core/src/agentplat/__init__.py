"""agentplat: durable AI-agent workflows. This module has the names that a plugin author needs, and nothing else.

Names are imported at first use, so that a plugin's light module costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentplat.contracts.agent import Agent, AgentContext, AgentSpec
    from agentplat.contracts.extension import (
        CheckSpec,
        CommandSpec,
        MigrationSpec,
        StrategySpec,
        WorkflowSpec,
    )
    from agentplat.contracts.interface import Client, InterfaceSpec, Submission, TaskFilter
    from agentplat.contracts.model import (
        Message,
        ModelProvider,
        ModelProviderSpec,
        ModelReply,
        ModelRequest,
        Passage,
        ToolDescription,
        ToolRequest,
    )
    from agentplat.contracts.tool import Effect, Tool, ToolContext, ToolSpec
    from agentplat.domain.errors import AgentplatError, StepError
    from agentplat.domain.failure import Failure, FailureCode
    from agentplat.domain.json import JsonObject, JsonValue
    from agentplat.domain.strategy import BlockView, Decision, Fail, Finish, Settled, Start, Strategy, Wait
    from agentplat.domain.usage import Usage
    from agentplat.plugins.marker import hookimpl

_HOME = {
    "agentplat.contracts.agent": ("Agent", "AgentContext", "AgentSpec"),
    "agentplat.contracts.extension": (
        "CheckSpec",
        "CommandSpec",
        "MigrationSpec",
        "StrategySpec",
        "WorkflowSpec",
    ),
    "agentplat.contracts.interface": ("Client", "InterfaceSpec", "Submission", "TaskFilter"),
    "agentplat.contracts.model": (
        "Message",
        "ModelProvider",
        "ModelProviderSpec",
        "ModelReply",
        "ModelRequest",
        "Passage",
        "ToolDescription",
        "ToolRequest",
    ),
    "agentplat.contracts.tool": ("Effect", "Tool", "ToolContext", "ToolSpec"),
    "agentplat.domain.errors": ("AgentplatError", "StepError"),
    "agentplat.domain.failure": ("Failure", "FailureCode"),
    "agentplat.domain.json": ("JsonObject", "JsonValue"),
    "agentplat.domain.strategy": (
        "BlockView",
        "Decision",
        "Fail",
        "Finish",
        "Settled",
        "Start",
        "Strategy",
        "Wait",
    ),
    "agentplat.domain.usage": ("Usage",),
    "agentplat.plugins.marker": ("hookimpl",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Agent",
    "AgentContext",
    "AgentSpec",
    "AgentplatError",
    "BlockView",
    "CheckSpec",
    "Client",
    "CommandSpec",
    "Decision",
    "Effect",
    "Fail",
    "Failure",
    "FailureCode",
    "Finish",
    "InterfaceSpec",
    "JsonObject",
    "JsonValue",
    "Message",
    "MigrationSpec",
    "ModelProvider",
    "ModelProviderSpec",
    "ModelReply",
    "ModelRequest",
    "Passage",
    "Settled",
    "Start",
    "StepError",
    "Strategy",
    "StrategySpec",
    "Submission",
    "TaskFilter",
    "Tool",
    "ToolContext",
    "ToolDescription",
    "ToolRequest",
    "ToolSpec",
    "Usage",
    "Wait",
    "WorkflowSpec",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module 'agentplat' has no attribute {name!r}")
    value: object = getattr(import_module(_MODULE[name]), name)
    globals()[name] = value
    return value
