"""`agentplat` itself: which commands there are, how they are called, how errors look."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer

from agentplat.domain.errors import AgentplatError, UsageError
from agentplat.runtime.cli import main
from agentplat.runtime.cli.options import command_group

HERE = __name__
COMMAND = [sys.executable, "-m", "agentplat.runtime.cli"]
group = command_group("Things.")


@group.command()
def twice(number: int) -> None:
    """Doubles."""
    typer.echo(2 * number)


@group.command()
def nothing() -> None:
    """Does nothing."""


def single(number: int = 1) -> None:
    """Says the number, and ends with it."""
    typer.echo(number)
    raise typer.Exit(number)


def misused() -> None:
    raise UsageError("You did it wrong.")


def went_wrong() -> None:
    raise AgentplatError("It went wrong.")


def broke() -> None:
    raise PermissionError(13, "Permission denied", "some-file")


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(main.CORE_COMMANDS, "group", ("Things.", f"{HERE}:group"))
    for function in (single, misused, went_wrong, broke):
        monkeypatch.setitem(main.CORE_COMMANDS, function.__name__, ("A thing.", f"{HERE}:{function.__name__}"))
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `agentplat <arguments>`."""
    monkeypatch.setattr(sys, "argv", ["agentplat", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return int(ended.value.code or 0)


def test_the_overview_fits_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*COMMAND, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(shown) <= 24
    assert max(map(len, shown)) <= 80
    assert {"api", "dev", "plugins", "worker"} <= {line.split()[0] for line in shown if line.startswith("  ")}


def test_a_group_says_which_of_its_commands_come_from_other_packages() -> None:
    command = [*COMMAND, "workflows", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "From other packages:" in shown
    assert {"validate", "bounds", "graph"} <= {line.split()[0] for line in shown if line.startswith("  ")}
    assert max(map(len, shown)) <= 80


def test_without_arguments_the_overview_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "out"),
    [
        (["single"], 1, "1\n"),
        (["single", "--number", "0"], 0, "0\n"),
        (["group", "twice", "4"], 0, "8\n"),
        (["--version"], 0, "0.1.0\n"),
    ],
)
def test_a_command_is_a_function_or_a_group(
    arguments: Sequence[str],
    code: int,
    out: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert called(monkeypatch, *arguments) == code
    assert capsys.readouterr().out == out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["misused"], 2, "Error (usage): You did it wrong.\n"),
        (["went_wrong"], 1, "Error (error): It went wrong.\n"),
        (["broke"], 1, "Error (system): [Errno 13] Permission denied: 'some-file'\n"),
        (["single", "--numbr", "1"], 2, "--number"),
        (["group", "twice", "x"], 2, "number"),
        (["group", "twise"], 2, "twice"),
        (["nobody"], 2, "Command 'nobody' not found. Available commands: api, "),
        (["--nobody"], 2, "Command '--nobody' not found."),
    ],
)
def test_an_error_is_a_sentence_and_an_exit_code(
    arguments: Sequence[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert called(monkeypatch, *arguments) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_a_command_that_a_plugin_cannot_offer_just_now_is_not_simply_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTPLAT_PLUGINS", "not-installed")
    assert called(monkeypatch, "thing") == 2
    assert "Not loaded, see `agentplat plugins`: " in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error_to_look_at() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run([*COMMAND, "--help"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")
