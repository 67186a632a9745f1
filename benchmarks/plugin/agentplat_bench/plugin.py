"""What the benchmarks offer to agentplat."""

from __future__ import annotations

import os
from pathlib import Path

from agentplat import StrategySpec, ToolSpec, WorkflowSpec, hookimpl
from agentplat_bench.tools import KINDS

API_LEVEL = 1
_WORKFLOWS = Path(__file__).parent / "workflows"


@hookimpl
def agentplat_tools() -> list[ToolSpec]:
    """Tools that do next to nothing, and count that they did it."""
    return [
        ToolSpec(
            name=kind.name,
            description=str(kind.__doc__),
            factory=f"{kind.__module__}:{kind.__qualname__}",
            effect=kind.effect,
        )
        for kind in KINDS
    ]


@hookimpl
def agentplat_strategies() -> list[StrategySpec]:
    """The strategy `bench_fan_out`."""
    return [
        StrategySpec(
            name="bench_fan_out",
            description="Starts its only step as often as the input's `n` says, and adds up what they give.",
            factory="agentplat_bench.fan_out:FanOut",
        )
    ]


@hookimpl
def agentplat_workflows() -> list[WorkflowSpec]:
    """The workflows `bench_ten` and `bench_fan`."""
    return [WorkflowSpec(name=file.stem, file=str(file)) for file in sorted(_WORKFLOWS.glob("*.yaml"))]


@hookimpl
def agentplat_process_started(role: str) -> None:
    """Let a worker wait at the benchmark's gate: what it imports and connects before is not what is measured."""
    if role == "worker" and "BENCH_TALLY" in os.environ:
        from agentplat_bench.measuring import begin

        begin()
