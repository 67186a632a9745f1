"""`agentplat new`: what it writes, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from agentplat_templates.new import KINDS, new, render

from agentplat import InputRejected

REPOSITORY = Path(__file__).parents[2]
AGENT = {
    "README.md",
    "pyproject.toml",
    "src/agentplat_agent_word_finder/__init__.py",
    "src/agentplat_agent_word_finder/agent.py",
    "src/agentplat_agent_word_finder/plugin.py",
    "src/agentplat_agent_word_finder/py.typed",
    "src/agentplat_agent_word_finder/schema.py",
    "tests/test_agent.py",
    "tests/test_contract.py",
}


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_agent_is_written_as_every_plugin_of_this_repository_is_laid_out(tmp_path: Path) -> None:
    package = render("agent", "word_finder", tmp_path)
    assert package == tmp_path / "agent-word-finder"
    assert files(package) == AGENT


def test_nothing_of_the_template_is_left_in_what_is_written(tmp_path: Path) -> None:
    package = render("agent", "word_finder", tmp_path)
    texts = [(package / name).read_text(encoding="utf-8") for name in files(package)]
    assert not any("cookiecutter" in text or "{%" in text for text in texts)
    assert "${{ input.text }}" in (package / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["w", "word_finder", "class", "a" * 40])
def test_what_is_written_has_the_style_of_this_repository(name: str, tmp_path: Path) -> None:
    package = render("agent", name, tmp_path)
    settings = ["--config", str(REPOSITORY / "pyproject.toml"), "--no-cache", package.name]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *settings],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_command_says_what_was_written_and_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new("agent", "word_finder", tmp_path)
    said = capsys.readouterr().out
    assert all(name in said for name in AGENT)
    assert "pip install -e" in said


@pytest.mark.parametrize(
    "name", ["", "Word", "word-finder", "2words", "_word", "word_", "two__words", "w.f", "../w", "a" * 41]
)
def test_a_bad_name_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="small letters"):
        new("agent", name, tmp_path)
    assert files(tmp_path) == set()


def test_a_name_that_is_taken_is_refused_since_both_would_be_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="offered by plugin agent-research already"):
        new("agent", "research", tmp_path)
    assert files(tmp_path) == set()


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match=", ".join(KINDS)):
        new("pancake", "word_finder", tmp_path)


def test_a_package_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    package = render("agent", "word_finder", tmp_path)
    (package / "README.md").write_text("mine")
    with pytest.raises(InputRejected, match="is there already"):
        new("agent", "word_finder", tmp_path)
    assert (package / "README.md").read_text() == "mine"


def test_cookiecutter_leaves_nothing_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    render("agent", "word_finder", tmp_path)
    assert files(home) == set()
