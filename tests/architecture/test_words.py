import pytest

from .conftest import Plant
from .gates import words
from .gates.tree import REPOSITORY, demand_none

FILE = "core/src/agentplat/a.py"


def test_every_name_that_we_define_is_in_the_words_of_the_glossary() -> None:
    demand_none(words.wrong_words(REPOSITORY))


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("class JobStore: ...", "class JobStore: say task"),
        ("class BaseAgent: ...", "class BaseAgent: say what it is"),
        ("class LeaseManager: ...", "class LeaseManager: say the thing that it does"),
        ("class A:\n    last_run: int", "attribute last_run: say task or attempt"),
        ("class TaskState(StrEnum):\n    FAILED = 'failed'", "state FAILED: say error"),
        ("def process(x): ...", "function process: say what it does"),
        ("def acquire_lease(): ...", "function acquire_lease: say claim"),
        ("def f(run_id): ...", "argument run_id: say task or attempt"),
        ("def f(*, data): ...", "argument data: say what the data are"),
        ("async def f(self): self._lock = 1", "attribute _lock: say lease"),
        ("JOBS = {}", "attribute JOBS: say task"),
        ("t = Table('jobs', Column('queued'))", "table jobs: say task"),
        ("t = Table('tasks', Column('queued'))", "table queued: say pending"),
    ],
)
def test_a_name_out_of_the_glossary_is_seen(plant: Plant, code: str, seen: str) -> None:
    found = words.wrong_words(plant({FILE: code}), fixed={})
    assert any(line.endswith(seen) for line in found), found


def test_the_name_of_a_file_counts(plant: Plant) -> None:
    found = words.wrong_words(plant({"core/src/agentplat/utils.py": ""}), fixed={})
    assert found == ["core/src/agentplat/utils.py:1: module utils: say the thing that it does"]


@pytest.mark.parametrize(
    "code",
    [
        "def run(): ...",
        "def run_step(): ...",
        "run_body = 1",
        "class StepFailed: ...",
        "class BlockState:\n    failed: int",
        "class FailureCode(StrEnum):\n    AGENT_FAILED = 'agent_failed'",
        "import threading\nfrom threading import Lock",
        "def f():\n    metadata = 1",
        "class Workflow: ...",
        "def blocks(): ...",
    ],
)
def test_verbs_and_foreign_names_are_free(plant: Plant, code: str) -> None:
    assert words.wrong_words(plant({FILE: code}), fixed={}) == []


def test_an_exemption_that_nothing_uses_is_seen(plant: Plant) -> None:
    root = plant({FILE: "class A:\n    data: int"})
    assert words.wrong_words(root, fixed={("agentplat/a.py", "data"): "a wire name"}) == []
    assert words.wrong_words(root, fixed={("agentplat/b.py", "data"): "a wire name"}) == [
        f"{FILE}:2: attribute data: say what the data are",
        "exemption agentplat/b.py: data is not used any more",
    ]
