"""Where a worker's time goes, layer by layer: what cProfile saw, added up."""

from __future__ import annotations

import pstats
from pathlib import Path
from typing import Any

IDLE = "waiting for something to do"
_LAYERS = (
    # (part of the file's path, layer); the first one that fits
    ("/agentplat_bench/", "the benchmark's own tools"),
    ("/harness/", "the benchmark's own tools"),
    ("/agentplat_strategy", "interpreter, strategies"),
    ("/agentplat/domain/", "interpreter, strategies"),
    ("/agentplat/language/", "expressions"),
    ("/minijinja/", "expressions"),
    ("/agentplat/engine/steps/", "engine: running a body"),
    ("/agentplat/runtime/bodies", "engine: running a body"),
    ("/pydantic/", "engine: running a body"),
    ("/agentplat/engine/", "engine: owner, history, journal writer"),
    ("/agentplat/runtime/", "engine: worker loop"),
    ("/agentplat/plugins/", "engine: running a body"),
    ("/agentplat/telemetry", "telemetry and logs"),
    ("/opentelemetry/", "telemetry and logs"),
    ("/prometheus_client/", "telemetry and logs"),
    ("/structlog/", "telemetry and logs"),
    ("/logging/", "telemetry and logs"),
    ("/agentplat/store/", "store client: agentplat"),
    ("/sqlalchemy/", "store client: SQLAlchemy"),
    ("/greenlet/", "store client: SQLAlchemy"),
    ("/psycopg", "store client: driver"),
    ("/aiosqlite/", "store client: driver"),
    ("/sqlite3/", "store client: driver"),
    ("/asyncio/", "event loop"),
    ("/selectors", "event loop"),
    ("/uvloop/", "event loop"),
)
_WAITS = ("select.epoll", "select.poll", "time.sleep")
Key = tuple[str, int, str]


def layers(file: Path) -> dict[str, float]:
    """Seconds by layer. What is written in C counts where it was called from."""
    stats: dict[Key, Any] = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    found: dict[str, float] = {}
    for key, (_, _, own, _, callers) in stats.items():
        if key[0] != "~":
            layer = _layer(key)
            found[layer] = found.get(layer, 0.0) + own
        elif any(wait in key[2] for wait in _WAITS):
            found[IDLE] = found.get(IDLE, 0.0) + own
        else:
            for caller, (_, _, share, _) in callers.items():
                layer = _layer(caller)
                found[layer] = found.get(layer, 0.0) + share
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _layer(key: Key) -> str:
    path = key[0].replace("\\", "/")
    return next((layer for part, layer in _LAYERS if part in path), f"other: {Path(path).name}" if path else "other")


def busiest(file: Path, most: int = 25) -> list[str]:
    """The functions with the most time of their own: seconds, calls, place."""
    stats: dict[Key, Any] = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    ordered = sorted(stats.items(), key=lambda item: -item[1][2])[:most]
    return [
        f"{own:8.3f} s {calls:9,d}  {'/'.join(Path(path).parts[-3:])}:{line} {name}"
        for (path, line, name), (_, calls, own, _, _) in ordered
    ]


def table(file: Path) -> str:
    """What `layers` and `busiest` found, for people."""
    found = layers(file)
    busy = sum(seconds for layer, seconds in found.items() if layer != IDLE) or 1.0
    lines = [f"{seconds:8.3f} s {100 * seconds / busy:5.1f} %  {layer}" for layer, seconds in found.items()]
    return "\n".join([*lines, "", *busiest(file)])


if __name__ == "__main__":
    import sys

    for argument in sys.argv[1:]:
        print(table(Path(argument)))
