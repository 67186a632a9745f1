"""Which layer a line of Python belongs to, and where a worker's CPU went, layer by layer."""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_LAYERS = (
    # (part of the file's path, layer); the first one that fits
    ("/agentplat_bench/", "the benchmark's own bodies"),
    ("/harness/", "the benchmark's own bodies"),
    ("/agentplat/domain/", "interpreter and strategies"),
    ("/agentplat_strategy", "interpreter and strategies"),
    ("/agentplat/language/", "expressions"),
    ("/agentplat/engine/rules", "expressions"),
    ("/agentplat/engine/steps/", "engine: running a body"),
    ("/agentplat/engine/", "engine: owner, history, journal writer"),
    ("/agentplat/runtime/bodies", "engine: running a body"),
    ("/agentplat/runtime/lifeline", "engine: running a body"),
    ("/agentplat/runtime/", "worker loop"),
    ("/agentplat/plugins/", "engine: running a body"),
    ("/pydantic", "engine: running a body"),
    ("/agentplat/telemetry", "telemetry and logs"),
    ("/opentelemetry/", "telemetry and logs"),
    ("/prometheus_client/", "telemetry and logs"),
    ("/structlog/", "telemetry and logs"),
    ("/logging/", "telemetry and logs"),
    ("/agentplat/store/", "store client: agentplat"),
    ("/sqlalchemy/", "store client: SQLAlchemy"),
    ("sqlalchemy generated", "store client: SQLAlchemy"),
    ("/psycopg", "store client: driver"),
    ("/aiosqlite/", "store client: driver"),
    ("/asyncio/", "event loop"),
    ("/selectors", "event loop"),
    ("/uvloop/", "event loop"),
)
_INTERVAL = 0.004  # seconds of CPU between two samples
_OUTER = 40  # frames that are looked at, from the innermost one


def layer_of(path: str) -> str | None:
    """The layer of a file; None where whoever called it has to say."""
    return next((layer for part, layer in _LAYERS if part in path), None)


class Sampler:
    """Looks, every few milliseconds of CPU that this process used, at what it is doing. It costs well below 1 %."""

    def __init__(self) -> None:
        self._samples: Counter[tuple[str, str]] = Counter()
        self._known: dict[CodeType, str | None] = {}

    def start(self) -> None:
        """To be called in the main thread."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)

    def stop(self, file: Path) -> None:
        """Keep what was seen."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        seen = [{"layer": layer, "place": place, "n": n} for (layer, place), n in self._samples.most_common()]
        file.write_text(json.dumps(seen), encoding="utf-8")

    def _sample(self, _: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename.endswith("selectors.py"):
            # The loop waits, so it is another thread that works: SQLite's.
            here = sys._getframe()  # noqa: SLF001 - there is no other way to it
            others = [other for other in sys._current_frames().values() if not _is_within(here, other)]  # noqa: SLF001
            frame = next((other for other in others if self._layer(other)[0] != "other"), frame)
        layer, place = self._layer(frame)
        self._samples[layer, place] += 1

    def _layer(self, frame: FrameType | None) -> tuple[str, str]:
        for _ in range(_OUTER):
            if frame is None:
                break
            code = frame.f_code
            if code not in self._known:
                self._known[code] = layer_of(code.co_filename)
            layer = self._known[code]
            if layer is not None:
                return layer, f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_name}"
            frame = frame.f_back
        return "other", ""


def _is_within(inner: FrameType, outer: FrameType) -> bool:
    frame: FrameType | None = inner
    while frame is not None:
        if frame is outer:
            return True
        frame = frame.f_back
    return False


def shares(files: list[Path]) -> dict[str, Any]:
    """What part of the CPU each layer had, and the places that had most of it."""
    layers: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for file in files:
        for seen in json.loads(file.read_text(encoding="utf-8")):
            layers[seen["layer"]] += seen["n"]
            places[f"{seen['layer']}: {seen['place']}"] += seen["n"]
    total = sum(layers.values()) or 1
    return {
        "samples": total,
        "layers": {layer: round(n / total, 4) for layer, n in layers.most_common()},
        "places": {place: round(n / total, 4) for place, n in places.most_common(30)},
    }
