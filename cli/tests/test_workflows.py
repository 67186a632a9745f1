"""`agentplat workflows`, in a folder with a good and a bad file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from agentplat_cli.workflows import app

from agentplat import UsageError

GOOD = "name: mine\ndescription: My own\nsteps:\n  - {name: one, agent: summarizer}\n"
BAD = "name: bad\nsteps:\n  - {name: one, agent: nobody}\n  - {name: one, agnt: research}\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "mine.yaml").write_text(GOOD)
    (tmp_path / "workflows" / "bad.yaml").write_text(BAD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTPLAT_PROJECT", raising=False)
    return tmp_path


def called(*arguments: str) -> int:
    return int(app(args=list(arguments), standalone_mode=False) or 0)


def test_installed_workflows_and_those_of_the_folder_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("list") == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:] if line[0] != " ")
    assert {"bad", "mine", "content_review", "research_assessment", "simple_sequential"} <= set(rows)
    assert rows["mine"].split(maxsplit=1) == ["sequential", "My own"]
    assert rows["bad"].startswith("invalid")


def test_programs_get_one_object_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("list", "--json") == 0
    listed = {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert [step["agent_type"] for step in listed["mine"]["steps"]] == ["summarizer"]
    assert "nobody" in listed["bad"]["fault"]


def test_every_fault_is_told_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("validate", "workflows/mine.yaml", "workflows/bad.yaml") == 1
    good, *bad = capsys.readouterr().out.splitlines()
    assert good == "workflows/mine.yaml: valid"
    assert len(bad) >= 2
    assert all(line.startswith("workflows/bad.yaml:") for line in bad)

    assert called("validate", "--json", "workflows/mine.yaml", "workflows/bad.yaml") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["valid"] for line in lines] == [True, False]
    told = [f"{d['file']}:{d['line']}:{d['column']}: {d['code']}: {d['detail']}" for d in lines[1]["diagnostics"]]
    assert told == bad
    assert (lines[1]["diagnostics"][0]["line"], lines[1]["diagnostics"][0]["code"]) == (3, "unknown_agent")
    assert lines[0]["diagnostics"] == []


def test_a_file_that_is_not_there_is_a_wrong_use() -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml cannot be read: No such file"):
        called("validate", "nowhere.yaml")
