"""What every agent has to keep to."""

from __future__ import annotations

from typing import ClassVar

from agentplat_testkit import AgentContract


class TestContract(AgentContract):
    plugin, name = "agent-assessment", "assessment"
    example: ClassVar = {
        "research_findings": {
            "findings": "A lease is the right to work on a task [1].",
            "evidence": [{"source": "guide.md", "text": "A lease is the right to work on a task."}],
        },
        "original_topic": "What is a lease?",
    }
