"""The tables of patterns, from the files that the suite plays. Each says in its `description` what it shows."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agentplat.language.yaml import load

from .tables import table

_FOLDER = Path(__file__).parents[3] / "docs" / "reference" / "patterns" / "workflows"
# The groups of the catalogue, with the numbers of their patterns.
_GROUPS: Mapping[str, tuple[int, ...]] = {
    "basic": (1, 2, 3, 4, 5),
    "branching": (6, 7, 8, 9, 28, 29, 30, 31, 32, 33, 37, 38, 41, 42),
    "instances": (12, 13, 14, 15, 34, 35, 36),
    "states": (16, 17, 18, 39, 40),
    "cancellation": (19, 20, 25, 26, 27),
    "loops": (10, 21, 22),
    "ends": (11, 43),
    "triggers": (23, 24),
}
_AGENTS = (
    "prompt_chaining",
    "routing",
    "sectioning",
    "voting",
    "orchestrator_workers",
    "evaluator_optimizer",
    "autonomous_loop",
    "handoff",
    "group_chat",
    "debate",
    "blackboard",
)


def patterns() -> dict[str, Callable[[], str]]:
    """A region `patterns-<group>` for each group of the catalogue, and `patterns-agents`."""
    return {
        **{f"patterns-{group}": partial(_catalogue, numbers) for group, numbers in _GROUPS.items()},
        "patterns-agents": _agents,
    }


def _catalogue(numbers: Iterable[int]) -> str:
    rows = [(f"WCP-{number}", *_said(_only(f"wcp{number:02}_*.yaml"))) for number in numbers]
    return table(("number", "pattern", "what it is", "file"), rows)


def _agents() -> str:
    return table(("pattern", "what it is", "file"), [_said(_only(f"agent_{name}.yaml")) for name in _AGENTS])


def _only(pattern: str) -> Path:
    found = list(_FOLDER.glob(pattern))
    if len(found) != 1:
        raise LookupError(f"{len(found)} files are {pattern}; there has to be one")
    return found[0]


def _said(file: Path) -> tuple[str, str, str]:
    """Name, meaning and link of a pattern."""
    document: Any = load(file.read_bytes(), file.name).value
    name, _, meaning = document["description"].partition(": ")
    return name, meaning[0].upper() + meaning[1:], f"[{file.stem}](patterns/workflows/{file.name})"
