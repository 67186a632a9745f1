"""The project's `agents.yaml` and `tools.yaml`: classes under other names, and agents that are a prompt and no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .programs import Server, own_program

AGENTS = """
agents:
  - name: excerpt
    description: Shortens a text to one sentence
    prompt: "Summarize in 1 sentence:\\n<text>\\n${{ input.text }}\\n</text>"
    system: You are brief.
  - name: research
    replaces: true
    class: agentplat_agent_research.agent:ResearchAgent
    description: Research that reads a single passage
    config: {passages: 1, passages_per_gap: 1}
    tools: [document_search]
  - name: one_sentence
    class: agentplat_agent_summarizer.agent:SummarizerAgent
    config: {sentences: 1, key_points: 1}
  - name: assessment
    class: agentplat_agent_assessment.agent:AssessmentAgent
    description: Without the word that lets it replace the installed one
"""
TOOLS = """
tools:
  - name: sums
    class: agentplat_tool_calculator.tool:Calculator
    description: Adds up
"""
WORKFLOW = """
name: brief
coordination_type: sequential
steps:
  - {name: find, agent: research}
  - {name: shorten, agent: one_sentence}
  - {name: repeat, agent: excerpt, input: {text: "${{ steps.shorten.output.summary }}"}}
"""
TEXT = (
    "The river flooded the lower town during the night. People carried their belongings to the upper floors. "
    "By noon the river had reached the market of the town. The town council wants a wall along the river."
)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`agentplat dev` in the folder of the project."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "workflows").mkdir()
    for file, text in {"agents.yaml": AGENTS, "tools.yaml": TOOLS, "workflows/brief.yaml": WORKFLOW}.items():
        (folder / file).write_text(text, encoding="utf-8")
    with own_program(folder).serving("dev") as server:
        yield server


def test_a_prompt_only_agent_answers_with_its_model(dev: Server) -> None:
    task = dev.finished("agent:excerpt", {"text": TEXT})
    assert task["status"] == "done"
    assert list(task["output"]) == ["result"]
    assert task["output"]["result"] in TEXT
    assert task["output"]["result"].count(".") == 1
    assert (task["model_used"], task["total_cost"]) == ("offline:extractive", 0)


def test_an_entry_with_a_class_replaces_an_installed_agent_when_it_says_so(dev: Server) -> None:
    agents = {agent["name"]: agent for agent in dev.get("/admin/agents")["agents"]}
    assert agents["research"]["description"] == "Research that reads a single passage"
    assert agents["research"]["config"] == {"passages": 1, "passages_per_gap": 1}
    assert agents["research"]["tools"] == ["document_search"]

    task = dev.finished("agent:research", {"topic": "Leases and fencing tokens"})
    assert task["status"] == "done"
    assert len(task["output"]["sources"]) == 1, "the installed one would have read three passages"


def test_an_entry_that_does_not_say_so_is_refused_with_its_place(dev: Server) -> None:
    agents = {agent["name"]: agent for agent in dev.get("/admin/agents")["agents"]}
    assert "Without the word" not in agents["assessment"]["description"]
    (entries,) = [plugin for plugin in dev.get("/v1/plugins") if plugin["name"] == "agents.yaml"]
    assert entries["state"] == "active"
    assert entries["offers"] == {"agents": ["excerpt", "research", "one_sentence"]}
    assert entries["reason"] == (
        "agents.yaml:16:5: not_usable: Agent 'assessment' is offered by plugin agent-assessment already. "
        "Say `replaces: true` to replace it."
    )


def test_a_class_works_under_a_name_of_the_projects_own(dev: Server) -> None:
    task = dev.finished("agent:one_sentence", {"text": TEXT})
    assert task["output"]["summary"].count(".") == 1
    assert len(task["output"]["key_points"]) == 1
    sums = dev.finished("tool:sums", {"expression": "2 + 3 * 4"})
    assert sums["status"] == "done"
    assert "14" in str(sums["output"])
    assert "sums" in [tool["name"] for tool in dev.get("/admin/tools")["tools"]]


def test_a_workflow_of_the_project_uses_all_of_them(dev: Server) -> None:
    task = dev.finished("workflow:brief", {"topic": "Leases and fencing tokens"})
    assert task["status"] == "done", task["error"]
    assert [(step["name"], step["agent_type"]) for step in task["subtasks"]] == [
        ("find", "research"),
        ("shorten", "one_sentence"),
        ("repeat", "excerpt"),
    ]
    assert task["output"]["result"] in task["subtasks"][1]["output"]["summary"]
