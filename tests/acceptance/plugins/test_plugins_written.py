"""A package that `agentplat new` wrote: installed, tested and used, untouched."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from .environments import Environment, everything

WORKFLOW = """
name: in_short
input: {text: string}
steps:
  - name: shorten
    agent: word_finder
    input: {text: "${{ input.text }}"}
"""
TEXT = '{"text": "A lease is the right to work on a task. It ends with its worker. Bees fly."}'


def test_an_agent_that_was_just_written_is_installed_tested_and_used(
    new_environment: Callable[[], Environment], wheels: Path
) -> None:
    environment = new_environment()
    environment.install(*everything(wheels))
    agentplat = environment.agentplat
    written = agentplat.call("new", "agent", "word_finder", "--folder", "packages")
    assert written.code == 0, written.err
    package = environment.folder / "packages" / "agent-word-finder"
    environment.install(f"{package}[test]")

    tested = subprocess.run(
        [environment.python, "-m", "pytest", "-q", "-W", "error"],
        cwd=package,
        env=agentplat.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout

    found = {line["name"]: line for line in agentplat.call("plugins", "--json").lines}["agent-word-finder"]
    assert (found["state"], found["distribution"]) == ("active", "agentplat-agent-word-finder")
    assert found["offers"] == {"agents": ["word_finder"]}

    (environment.folder / "workflows").mkdir()
    (environment.folder / "workflows" / "in_short.yaml").write_text(WORKFLOW)
    for name in ("agent:word_finder", "workflow:in_short"):
        ended = agentplat.call("run", name, "--input", TEXT, "--json")
        assert ended.code == 0, ended.err
        assert ended.lines[-1]["output"]["text"] in TEXT
