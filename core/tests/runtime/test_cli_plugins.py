from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from agentplat.runtime.cli.plugins import plugins

BROKEN = "agents/broken.py"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one broken file, and no installed plugins."""
    (tmp_path / "agents").mkdir()
    (tmp_path / BROKEN).write_text("print('Hello')\nraise OSError('[red]no[/red]')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTPLAT_PLUGINS", "none")
    monkeypatch.delenv("AGENTPLAT_PROJECT", raising=False)
    return tmp_path


def shown(text: str) -> Mapping[str, SimpleNamespace]:
    return {line["name"]: SimpleNamespace(**line) for line in map(json.loads, text.splitlines())}


def test_plugins_are_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    plugins(json_lines=True)

    records = shown(capsys.readouterr().out)
    assert records[BROKEN].state == "rejected"
    assert records[BROKEN].reason == "agents/broken.py:2:1: not_usable: OSError: [red]no[/red]"
    assert {record.state for name, record in records.items() if name != BROKEN} <= {"disabled"}


def test_the_table_has_each_reason_in_one_piece(capsys: pytest.CaptureFixture[str]) -> None:
    plugins()

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["plugin", "version", "state", "offers"]
    assert [BROKEN, "rejected", "agents/broken.py:2:1:", "not_usable:", "OSError:", "[red]no[/red]"] in lines


def test_a_name_that_is_not_installed_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTPLAT_PLUGINS", "nobody")

    plugins(json_lines=True)

    assert shown(capsys.readouterr().out)["nobody"].reason.startswith("named in the settings, but not installed")
