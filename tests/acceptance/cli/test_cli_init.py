"""A project that `agentplat init` wrote, used untouched."""

from __future__ import annotations

import signal

import httpx

from .processes import Folder


def test_a_new_project_works_at_once(folder: Folder) -> None:
    written = folder.call("init", "project")
    assert (written.code, written.err) == (0, "")
    project = Folder(folder.path / "project")

    hello = project.call("run", "workflow:hello", "--input", '{"name": "Ada"}', "--json").lines[-1]
    assert hello["status"] == "done"
    assert hello["output"] == {"greeting": "Hello, Ada! What shall we find out today?", "words": 8}
    text = '{"text": "A lease is the right to work on a task. It ends with its worker. Bees fly."}'
    headline = project.call("run", "agent:headline", "--input", text, "--json").lines[-1]
    assert headline["output"]["result"] in text
    assert (project.path / ".agentplat").is_dir()

    plugins = {line["name"]: line for line in project.call("plugins", "--json").lines}
    files = ("agents/greeter.py", "tools/word_count.py", "workflows/hello.yaml", "agents.yaml")
    assert {plugins[name]["state"] for name in files} == {"active"}
    assert {plugins[name]["reason"] for name in files} == {None}


def test_dev_serves_it_and_reads_its_settings(folder: Folder) -> None:
    folder.call("init", ".")
    settings = folder.path / "agentplat.toml"
    settings.write_text(
        settings.read_text().replace('# database_url = "sqlite:///.agentplat/', 'database_url = "sqlite:///')
    )
    with folder.running("dev", "--port", "0") as running:
        names = [found["name"] for found in _get(f"{running.address()}/admin/workflows")["workflows"]]
        assert {"hello", "research_assessment"} <= set(names)
        assert running.ended(signal.SIGINT) == 0
    assert (folder.path / "agentplat.db").is_file()


def test_nothing_is_written_over_what_is_there(folder: Folder) -> None:
    (folder.path / "agents.yaml").write_text("agents: []\n")
    refused = folder.call("init", ".")
    assert refused.code == 2
    assert "The folder does not fit: / has agents.yaml already, and nothing is overwritten." in refused.err
    assert [path.name for path in folder.path.iterdir()] == ["agents.yaml"]


def _get(url: str) -> dict[str, list[dict[str, str]]]:
    answer = httpx.get(url, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    shown: dict[str, list[dict[str, str]]] = answer.json()
    return shown
