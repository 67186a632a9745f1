"""Another model for the same workflow: one variable, and usage and cost are accounted for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .chat_server import INPUT_TOKENS, KEY, OUTPUT_TOKENS, ChatServer, chat_server
from .programs import Server, own_program, told

MODEL = "openai:acme-large-1"
TOPIC = "Leases and fencing tokens"
WANTED = "heartbeat"
PRICES = f'[prices."{MODEL}"]\ninput = 2_000_000\noutput = 10_000_000\n'  # micro-USD per million tokens
CALL_COST = 0.003  # dollars: 1,000 tokens in, 100 out
PATHS = ["conduct_research", "assess_quality", "conduct_research#2", "assess_quality#2"]


@pytest.fixture
def model() -> Iterator[ChatServer]:
    with chat_server(WANTED) as server:
        yield server


@pytest.fixture
def dev(request: pytest.FixtureRequest, tmp_path: Path, model: ChatServer) -> Iterator[Server]:
    """`agentplat dev` with that model; the parameter is what `agentplat.toml` holds."""
    (tmp_path / "agentplat.toml").write_text(request.param, encoding="utf-8")
    with own_program(tmp_path).serving(
        "dev", AGENTPLAT_MODEL=MODEL, OPENAI_BASE_URL=model.url, OPENAI_API_KEY=KEY
    ) as dev:
        yield dev


def ran(dev: Server) -> dict[str, Any]:
    task = dev.finished("workflow:research_assessment", {"topic": TOPIC})
    assert task["status"] == "done", task["error"]
    assert (task["output"]["status"], task["output"]["iterations"]) == ("completed_converged", 2)
    assert [(step["name"], step["model_used"]) for step in task["subtasks"]] == [(path, MODEL) for path in PATHS]
    counted = [(step["input_tokens"], step["output_tokens"]) for step in task["subtasks"]]
    assert counted == [(INPUT_TOKENS, OUTPUT_TOKENS)] * 4
    assert (task["input_tokens"], task["output_tokens"]) == (4 * INPUT_TOKENS, 4 * OUTPUT_TOKENS)
    assert task["model_used"] == MODEL
    return task


@pytest.mark.parametrize("dev", [PRICES], indirect=True, ids=["priced"])
def test_the_same_workflow_runs_with_another_model_and_its_cost_is_recorded(
    dev: Server, model: ChatServer, tmp_path: Path
) -> None:
    task = ran(dev)
    assert [step["total_cost"] for step in task["subtasks"]] == [pytest.approx(CALL_COST)] * 4
    assert task["total_cost"] == pytest.approx(4 * CALL_COST)
    assert dev.get("/tasks/costs/summary")["total_cost"] == pytest.approx(4 * CALL_COST)

    assert {request["model"] for request in model.requests} == {"acme-large-1"}
    first, judged, second, _ = (request["messages"][-1]["content"] for request in model.requests)
    feedback = task["subtasks"][1]["output"]["feedback"]
    assert f"“{WANTED}”" in feedback, "what the model found missing is named"
    assert feedback in second, "the model is told what was missing"
    assert "review of earlier findings" not in first
    assert task["subtasks"][0]["output"]["findings"] in judged, "the judge sees the findings as they are"
    assert WANTED not in task["subtasks"][0]["output"]["findings"]
    assert WANTED in task["output"]["research_findings"]["findings"]
    assert told(dev.journal(task["id"]))[3:-2] == [
        line for path in PATHS for line in (f"step_started {path}", f"step_succeeded {path}")
    ]

    kept = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"agentplat.db", dev.log.name} <= {file.name for file in kept}
    assert [file for file in kept if KEY.encode() in file.read_bytes()] == []


@pytest.mark.parametrize("dev", [""], indirect=True, ids=["unpriced"])
def test_a_cost_that_is_not_known_is_null_and_never_nought(dev: Server) -> None:
    task = ran(dev)
    assert [step["total_cost"] for step in task["subtasks"]] == [None] * 4
    assert task["total_cost"] is None
    (listed,) = dev.get("/tasks")
    assert listed["total_cost"] is None
    summary = dev.get("/tasks/costs/summary")
    assert (summary["total_tasks"], summary["unknown_cost_tasks"]) == (1, 1)
    assert (summary["total_cost"], summary["avg_cost_per_task"]) == (None, None)
    for event in dev.journal(task["id"]):
        if event["kind"] == "step_succeeded":
            assert event["content"]["usage"]["cost"] is None
