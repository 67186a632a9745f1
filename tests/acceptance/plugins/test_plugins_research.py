"""`research_assessment` by installed plugins over real documents: alike on both databases, better by feedback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import agentplat_tool_document_search
import pytest

from .programs import own_program, told

DOCUMENTS = Path(agentplat_tool_document_search.__file__).parent / "guides"
TOPIC = "task states, tool effects, coordination strategies and network exposure"
DIFFERENT = {"id", "parent_task_id", "execution_id", "worker", "created_at", "updated_at"}  # in every run

Ran: TypeAlias = dict[str, Any]


def ran_on(database_url: str, folder: Path) -> Ran:
    """The task and its journal, from a database of this kind, by an API and a worker of their own."""
    folder.mkdir()
    plain = re.sub(r"^(\w+)\+\w+:", r"\1:", database_url)
    with own_program(folder).serving(
        "dev",
        AGENTPLAT_DATABASE_URL=plain,
        AGENTPLAT_DOCUMENTS=str(DOCUMENTS),
        AGENTPLAT_IDENTITY__KEY="0123456789abcdef",
    ) as dev:
        task = dev.finished("workflow:research_assessment", {"topic": TOPIC})
        return {"task": task, "journal": dev.journal(task["id"])}


@pytest.fixture
def runs(sqlite_url: str, postgres_url: str, tmp_path: Path) -> list[Ran]:
    return [ran_on(sqlite_url, tmp_path / "sqlite"), ran_on(postgres_url, tmp_path / "postgresql")]


def same(ran: Ran) -> list[Any]:
    """What has to be alike wherever the task ran."""
    task = ran["task"]
    return [
        {key: task[key] for key in ("type", "status", "input", "output", "error", "input_tokens", "total_cost")},
        _without(task["workflow_state"]),
        [_without(step) for step in task["subtasks"]],
        [(event["seq"], event["kind"], _without(event["content"])) for event in ran["journal"]],
    ]


def _without(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in DIFFERENT}


def step(journal: list[dict[str, Any]], line: str) -> Any:
    """The content of the one event that is told so."""
    (content,) = [event["content"] for event, said in zip(journal, told(journal), strict=True) if said == line]
    return content


def test_the_same_task_gives_the_same_on_both_databases_and_its_feedback_shows(runs: list[Ran]) -> None:
    sqlite, postgresql = runs
    assert same(sqlite) == same(postgresql)
    assert sqlite["task"]["id"] != postgresql["task"]["id"]
    for ran in runs:
        check_feedback(ran)
    print(excerpt(postgresql))  # noqa: T201 - for whoever runs it with -s


def check_feedback(ran: Ran) -> None:
    task, journal = ran["task"], ran["journal"]
    assert task["status"] == "done"
    assert (task["output"]["status"], task["output"]["iterations"]) == ("completed_converged", 2)

    first, second = (step(journal, f"step_succeeded conduct_research{end}")["output"] for end in ("", "#2"))
    verdicts = [step(journal, f"step_succeeded assess_quality{end}")["output"] for end in ("", "#2")]
    assert step(journal, "step_started conduct_research")["input"] == {"topic": TOPIC}
    feedback = step(journal, "step_started conduct_research#2")["input"]["previous_feedback"]
    assert feedback == verdicts[0]["feedback"]
    assert verdicts[0]["missing"]
    assert all(missing in feedback for missing in verdicts[0]["missing"])
    assert first["findings"] != second["findings"]
    assert set(second["sources"]) - set(first["sources"]), "the feedback led to sources that were not read before"
    assert verdicts[0]["quality_score"] < verdicts[1]["quality_score"]
    assert [verdict["approved"] for verdict in verdicts] == [False, True]
    assert all((DOCUMENTS / source.split(" § ")[0]).is_file() for source in second["sources"])


def excerpt(ran: Ran) -> str:
    """The journal in short, for people."""
    lines = ["", f"{TOPIC!r} over {DOCUMENTS}"]
    for event, said in zip(ran["journal"], told(ran["journal"]), strict=True):
        lines.append(f"{event['seq']:3}  {said}")
        lines += [f"       {line}" for line in _shown(event["content"])]
    return "\n".join(lines)


def _shown(content: dict[str, Any]) -> Iterator[str]:
    for given in (content.get("input"), content.get("output")):
        if isinstance(given, dict) and "status" not in given:
            if "sources" in given:
                yield f"{len(given['sources'])} sources, {len(given['findings'])} characters of findings"
            yield from (
                f"{key}: {given[key]}" for key in ("previous_feedback", "quality_score", "approved") if key in given
            )
