"""`agentplat init`: what it writes works, and overwrites nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from agentplat_templates.init import init

from agentplat import InputRejected
from agentplat.plugins.host import load_plugins
from agentplat.plugins.project.generation import load_project
from agentplat.runtime.settings import load_settings

SKELETON = {
    ".gitignore",
    "agentplat.toml",
    "agents.yaml",
    "agents/greeter.py",
    "documents/README.md",
    "tools.yaml",
    "tools/word_count.py",
    "workflows/hello.yaml",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AGENTPLAT_PROJECT", raising=False)
    init(tmp_path / "new" / "project")
    return tmp_path / "new" / "project"


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_project_is_written(project: Path) -> None:
    assert files(project) == SKELETON


def test_everything_in_it_is_used_and_nothing_is_at_fault(project: Path) -> None:
    loaded = load_project(project, load_plugins().registries)
    assert loaded.faults == ()
    assert {"greeter", "headline"} <= set(loaded.registries.agents.names)
    assert "word_count" in loaded.registries.tools
    assert "hello" in loaded.registries.workflows


def test_its_settings_say_nothing_but_the_defaults(project: Path, tmp_path: Path) -> None:
    written = load_settings(project).model_dump(exclude={"project"})
    assert written == load_settings(tmp_path).model_dump(exclude={"project"})


def test_every_setting_that_it_shows_is_a_setting(project: Path) -> None:
    file = project / "agentplat.toml"
    shown = re.findall(r"^# (\w+ = .*|\[.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) > 10
    file.write_text("\n".join(shown), encoding="utf-8")
    assert load_settings(project).prices


def test_what_is_there_is_named_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "agents.yaml").write_text("mine")
    with pytest.raises(InputRejected, match=r"agents\.yaml"):
        init(tmp_path)
    assert files(tmp_path) == {"agents.yaml"}
    assert (tmp_path / "agents.yaml").read_text() == "mine"


def test_a_folder_with_other_things_in_it_will_do(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    init(tmp_path)
    assert files(tmp_path) == {"README.md", *SKELETON}
