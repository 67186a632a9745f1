"""A package is there as soon as it is installed, and nothing else has to be said."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from .environments import Environment, everything
from .programs import Server

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(1800)]

SUMMARIZER = "agentplat-agent-summarizer"
TEXT = (
    "The river flooded the lower town during the night. People carried their belongings to the upper floors. "
    "By noon the river had reached the market of the town. The town council wants a wall along the river. "
    "A wall along the river would protect the market and the lower town."
)


@pytest.fixture(scope="module")
def environment(new_environment: Callable[[], Environment]) -> Environment:
    """An environment with all wheels but one."""
    environment = new_environment()
    environment.install(*everything(environment.wheels, but=SUMMARIZER))
    return environment


def plugins(environment: Environment) -> dict[str, dict[str, object]]:
    listed = environment.agentplat.call("plugins", "--json")
    assert listed.code == 0, listed.err
    return {plugin["name"]: plugin for plugin in listed.lines}


def agents(server: Server) -> list[str]:
    return [agent["name"] for agent in server.get("/admin/agents")["agents"]]


def test_an_agent_is_there_as_soon_as_its_package_is_installed(environment: Environment) -> None:
    agentplat = environment.agentplat
    text = ("--input", json.dumps({"text": TEXT}))

    before = plugins(environment)
    assert "agent-summarizer" not in before
    assert {plugin["state"] for plugin in before.values()} == {"active"}
    refused = agentplat.call("run", "agent:summarizer", *text)
    assert refused.code == 2
    assert refused.out == ""
    assert refused.err == (
        "Error (unknown_name): Agent 'summarizer' not found. Available agents: assessment, research.\n"
    )
    with agentplat.serving("api") as api:
        assert agents(api) == ["assessment", "research"]

        environment.install(SUMMARIZER)
        installed = plugins(environment)["agent-summarizer"]
        assert (installed["state"], installed["offers"]) == ("active", {"agents": ["summarizer"]})
        assert (installed["distribution"], installed["version"]) == (SUMMARIZER, "0.1.0")
        assert agents(api) == ["assessment", "research"], "a process keeps what it began with"
    with agentplat.serving("api") as api:
        assert agents(api) == ["assessment", "research", "summarizer"]

    ran = agentplat.call("run", "agent:summarizer", *text, "--json")
    assert ran.code == 0, ran.err
    output = ran.lines[-1]["output"]
    assert ran.lines[-1]["status"] == "done"
    assert "river" in output["summary"]
    assert len(output["summary"]) < len(TEXT)
    assert all(point in TEXT for point in output["key_points"])


def test_a_package_that_is_uninstalled_is_gone_and_the_rest_works(environment: Environment) -> None:
    environment.install(SUMMARIZER)
    environment.uninstall(SUMMARIZER)

    assert "agent-summarizer" not in plugins(environment)
    with environment.agentplat.serving("dev") as dev:
        assert agents(dev) == ["assessment", "research"]
        refused = dev.http.post("/tasks", json={"type": "workflow:simple_sequential", "input": {"topic": "leases"}})
        assert refused.status_code == 422, refused.text
        assert "summarizer" in refused.json()["detail"]
        assert dev.finished("workflow:research_assessment", {"topic": "Leases and fencing tokens"})["status"] == "done"
