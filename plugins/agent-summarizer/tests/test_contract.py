"""What every agent has to keep to."""

from __future__ import annotations

from typing import ClassVar

from agentplat_testkit import AgentContract


class TestContract(AgentContract):
    plugin, name = "agent-summarizer", "summarizer"
    example: ClassVar = {"text": "A lease is the right to work on a task. It ends when another worker claims the task."}
