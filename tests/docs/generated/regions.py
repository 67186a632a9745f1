"""Regions: the parts of pages that are written by a program, and what each of them says now."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from . import (
    benchmarks,
    commands,
    doctor,
    errors,
    hooks,
    http,
    language,
    patterns,
    settings,
    states,
    strategies,
    telemetry,
)

RENDERERS: Mapping[str, Callable[[], str]] = {
    "settings": settings.settings,
    "hooks": hooks.hooks,
    "specs": hooks.specs,
    "strategy-view": hooks.views,
    "strategy-ways": hooks.ways,
    "error-tree": errors.error_tree,
    "errors": errors.errors,
    "failures": errors.failures,
    "commands": commands.commands,
    "doctor-errors": doctor.errors,
    "doctor-warnings": doctor.warnings,
    "filters": language.filters,
    "diagnostics": language.diagnostics,
    "operations": http.operations,
    "providers": http.providers,
    "metrics": telemetry.metrics,
    "log-events": telemetry.log_events,
    "task-states": states.task_states,
    "task-triggers": states.triggers,
    "worker-states": states.worker_states,
    "worker-words": states.worker_words,
    "journal-events": states.journal_events,
    "benchmarks": benchmarks.benchmarks,
    **strategies.options(),
    **patterns.patterns(),
}
_REGION = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)


def used_in(page: Path) -> Iterator[str]:
    """The names of the regions of a page."""
    for found in _REGION.finditer(page.read_text(encoding="utf-8")):
        yield found["name"]


def renewed(text: str) -> str:
    """The page with every region as it should be. KeyError for a region that nobody renders."""
    return _REGION.sub(lambda found: f"{found[1]}\n{RENDERERS[found['name']]()}\n\n{found[3]}", text)


def difference(page: Path) -> str:
    """What would change in a page; nothing when it is as it should be."""
    text = page.read_text(encoding="utf-8")
    lines = difflib.unified_diff(text.splitlines(), renewed(text).splitlines(), str(page), "should be", lineterm="")
    return "\n".join(lines)
