"""What a worker is told when it is made, and the states of its process, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    queues: tuple[str, ...] = ("default",)
    concurrency: int = 100
    lease_seconds: float = 15.0
    poll_seconds: float = 0.5
    drain_seconds: float = 25.0


class WorkerState(StrEnum):
    STARTING = "starting"  # plugins are loaded
    CONNECTING = "connecting"  # looks for the database and puts its row there
    RUNNING = "running"  # claims and works
    DRAINING = "draining"  # claims no more; what runs may end
    STOPPED = "stopped"


class WorkerEvent(StrEnum):
    LOADED = "loaded"
    REGISTERED = "registered"
    TOLD_TO_STOP = "told_to_stop"
    EMPTY = "empty"  # nothing is owned any more
    FAILED = "failed"


WORKER_TRANSITIONS: Mapping[tuple[WorkerState, WorkerEvent], WorkerState] = MappingProxyType(
    {
        (WorkerState.STARTING, WorkerEvent.LOADED): WorkerState.CONNECTING,
        (WorkerState.STARTING, WorkerEvent.TOLD_TO_STOP): WorkerState.STOPPED,
        (WorkerState.STARTING, WorkerEvent.FAILED): WorkerState.STOPPED,
        (WorkerState.CONNECTING, WorkerEvent.REGISTERED): WorkerState.RUNNING,
        (WorkerState.CONNECTING, WorkerEvent.TOLD_TO_STOP): WorkerState.STOPPED,
        (WorkerState.CONNECTING, WorkerEvent.FAILED): WorkerState.STOPPED,
        (WorkerState.RUNNING, WorkerEvent.TOLD_TO_STOP): WorkerState.DRAINING,
        (WorkerState.RUNNING, WorkerEvent.FAILED): WorkerState.STOPPED,
        (WorkerState.DRAINING, WorkerEvent.EMPTY): WorkerState.STOPPED,
        (WorkerState.DRAINING, WorkerEvent.FAILED): WorkerState.STOPPED,
    }
)
"""A missing pair is a fault of the program."""


def worker_diagram() -> str:
    """The table as a Mermaid state diagram; the documentation is compared with it by a test."""
    lines = ["stateDiagram-v2", "    [*] --> starting"]
    lines += [f"    {old} --> {new}: {event}" for (old, event), new in WORKER_TRANSITIONS.items()]
    return "\n".join([*lines, "    stopped --> [*]"])
