"""What agentplat-workflows offers to agentplat."""

from __future__ import annotations

from pathlib import Path

from agentplat import WorkflowSpec, hookimpl

API_LEVEL = 1

_FILES = Path(__file__).parent / "files"


@hookimpl
def agentplat_workflows() -> list[WorkflowSpec]:
    """The stock workflows. `research_assessment` is the one that the demonstration shows."""
    return [
        WorkflowSpec(
            name="research_assessment",
            file=str(_FILES / "research_assessment.yaml"),
            demo="How does agentplat recover after a crash, and what do model calls cost?",
        ),
        WorkflowSpec(name="simple_sequential", file=str(_FILES / "simple_sequential.yaml")),
        WorkflowSpec(name="content_review", file=str(_FILES / "content_review.yaml")),
    ]
