"""Faulty packages beside good ones: each is rejected with a reason, and everything else works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .environments import Environment, everything, write_package

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(1800)]

RAISES = """
raise RuntimeError("no licence was found")
"""
MISSPELT = """
from agentplat import AgentSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_agent():
    return [AgentSpec(name="misspelt", description="Never seen.", factory="agentplat_agent_misspelt.agent:Agent")]
"""
OFFERS_ECHO = """
from agentplat import AgentSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_agents():
    return [AgentSpec(name="echo", description="Says it again.", factory="{package}.agent:Echo")]
"""
ECHO = """
from agentplat import Agent


class Echo(Agent[dict, dict]):
    name = "echo"

    async def execute(self, input, ctx):
        return input
"""
FROM_TOMORROW = """
API_LEVEL = 99
"""
NO_LEVEL = """
from agentplat import hookimpl


@hookimpl
def agentplat_agents():
    return []
"""

EXPECTED = {
    "agent-raises": "cannot be imported: RuntimeError: no licence was found",
    "agent-misspelt": "has an unknown hook, agentplat_agent; did you mean agentplat_agents?",
    "agent-echo": "offers the agent 'echo', and so does agent-parrot; switch off all but one (plugins_deny)",
    "agent-parrot": "offers the agent 'echo', and so does agent-echo; switch off all but one (plugins_deny)",
    "tool-tomorrow": "needs API level 99, but this agentplat has 1: upgrade agentplat-core",
    "tool-careless": "does not declare the level of its hooks, as in API_LEVEL = 1",
    "tool-twin": "several distributions call a plugin so: acme_twin.plugin, agentplat_tool_twin.plugin; "
    "uninstall all but one",
}
"""The plugins of the faulty packages, and why they are rejected."""


@pytest.fixture(scope="module")
def environment(new_environment: Callable[[], Environment]) -> Environment:
    """An environment with all wheels of this repository, and the faulty packages."""
    environment = new_environment()
    environment.install(*everything(environment.wheels))
    place = environment.folder / "faulty"
    echoes = {
        plugin: {"plugin": OFFERS_ECHO.format(package=f"agentplat_{plugin.replace('-', '_')}"), "agent": ECHO}
        for plugin in ("agent-echo", "agent-parrot")
    }
    environment.install(
        write_package(place, "agent-raises", {"plugin": RAISES}),
        write_package(place, "agent-misspelt", {"plugin": MISSPELT}),
        *(write_package(place, plugin, modules) for plugin, modules in echoes.items()),
        write_package(place, "tool-tomorrow", {"plugin": FROM_TOMORROW}),
        write_package(place, "tool-careless", {"plugin": NO_LEVEL}),
        write_package(place, "tool-twin", {"plugin": FROM_TOMORROW}),
        write_package(place, "tool-twin", {"plugin": FROM_TOMORROW}, name="acme-twin"),
    )
    return environment


def check(plugins: list[dict[str, Any]]) -> None:
    """The faulty ones are rejected, each with its reason; the others are active."""
    rejected = {plugin["name"]: plugin for plugin in plugins if plugin["state"] != "active"}
    assert {name: plugin["reason"] for name, plugin in rejected.items()} == EXPECTED
    assert {plugin["state"] for plugin in rejected.values()} == {"rejected"}
    assert {plugin["version"] for plugin in rejected.values()} == {"1.2.3"}
    active = {plugin["name"]: plugin for plugin in plugins if plugin["state"] == "active"}
    assert {"agent-research", "agent-summarizer", "interface-rest", "strategy-basic", "workflows"} <= active.keys()
    assert {plugin["reason"] for plugin in active.values()} == {None}


def test_the_command_shows_each_rejected_package_with_its_reason(environment: Environment) -> None:
    listed = environment.agentplat.call("plugins", "--json")
    assert (listed.code, listed.err) == (0, "")
    check(listed.lines)

    for_people = environment.agentplat.call("plugins")
    lines = for_people.out.splitlines()
    for name, reason in EXPECTED.items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert "rejected" in line
        assert line.endswith(reason)
    assert (environment.agentplat.call("--help").code, for_people.code) == (0, 0)


def test_a_task_for_what_was_rejected_is_refused_and_all_the_rest_works(environment: Environment) -> None:
    refused = environment.agentplat.call("run", "agent:echo", "--input", '{"text": "hello"}')
    assert refused.code == 2
    assert "Agent 'echo' not found. Available agents: assessment, research, summarizer." in refused.err

    with environment.agentplat.serving("dev") as dev:
        check(dev.get("/v1/plugins"))
        assert [agent["name"] for agent in dev.get("/admin/agents")["agents"]] == [
            "assessment",
            "research",
            "summarizer",
        ]
        assert dev.http.post("/tasks/agent", json={"agent_type": "echo", "input": {}}).status_code == 400
        task = dev.finished("workflow:research_assessment", {"topic": "Why is a plugin rejected?"})
        assert task["status"] == "done"
        assert task["output"]["research_findings"]["sources"]


def test_switching_one_of_two_rivals_off_gives_the_name_to_the_other(environment: Environment) -> None:
    ran = environment.agentplat.call(
        "run", "agent:echo", "--input", '{"text": "hello"}', "--json", AGENTPLAT_PLUGINS_DENY="agent-parrot"
    )
    assert ran.code == 0, ran.err
    assert ran.lines[-1]["output"] == {"text": "hello"}
