"""Contract suites, fakes and a real PostgreSQL for the tests of agentplat and its plugins.

Names are imported at first use: this module is loaded by every pytest run of an environment that has it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentplat_testkit.contracts.agents import AgentContract
    from agentplat_testkit.contracts.interfaces import InterfaceContract
    from agentplat_testkit.contracts.models import ModelContract
    from agentplat_testkit.contracts.strategies import StrategyContract
    from agentplat_testkit.contracts.tools import ToolContract
    from agentplat_testkit.fakes import RememberedLog, ScriptedModel, asks_for, plausible
    from agentplat_testkit.harness import StepHarness, agent_context, tool_context

_HOME = {
    "AgentContract": "agentplat_testkit.contracts.agents",
    "InterfaceContract": "agentplat_testkit.contracts.interfaces",
    "ModelContract": "agentplat_testkit.contracts.models",
    "StrategyContract": "agentplat_testkit.contracts.strategies",
    "ToolContract": "agentplat_testkit.contracts.tools",
    "RememberedLog": "agentplat_testkit.fakes",
    "ScriptedModel": "agentplat_testkit.fakes",
    "asks_for": "agentplat_testkit.fakes",
    "plausible": "agentplat_testkit.fakes",
    "StepHarness": "agentplat_testkit.harness",
    "agent_context": "agentplat_testkit.harness",
    "tool_context": "agentplat_testkit.harness",
}

__all__ = [
    "AgentContract",
    "InterfaceContract",
    "ModelContract",
    "RememberedLog",
    "ScriptedModel",
    "StepHarness",
    "StrategyContract",
    "ToolContract",
    "agent_context",
    "asks_for",
    "plausible",
    "tool_context",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'agentplat_testkit' has no attribute {name!r}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
