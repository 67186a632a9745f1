"""`agentplat`: the commands of the core, and those that installed plugins offer.

Nothing heavy is imported before a command is called, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from agentplat.domain.errors import AgentplatError, UsageError
from agentplat.plugins.host import load_plugins
from agentplat.plugins.selection import project_folder, read_selection

_HERE = "agentplat.runtime.cli"
CORE_COMMANDS = {
    "run": ("Submit a task, wait for it, and print what came of it.", f"{_HERE}.run:run"),
    "dev": ("API and worker by one command, on SQLite; reloads workflows and agents.", f"{_HERE}.serve:dev"),
    "tasks": ("List, show, cancel and retry tasks.", f"{_HERE}.tasks:app"),
    "workflows": ("List, validate and draw workflows.", f"{_HERE}.workflows:app"),
    "plugins": ("Show what is installed, in which state, and why.", f"{_HERE}.plugins:plugins"),
    "api": ("Serve the installed interfaces.", f"{_HERE}.serve:api"),
    "worker": ("Work on tasks: a keeper and its worker process.", f"{_HERE}.serve:worker"),
}
"""Name to help and target, in the order in which `--help` shows them. The target is imported at the call."""


def main() -> None:
    """Run the command that the arguments name. Exit code 2 for a wrong use, 1 for what went wrong besides."""
    try:
        sys.exit(run_command(sys.argv[1:]))
    except UsageError as error:
        _complain(error, 2)
    except AgentplatError as error:
        _complain(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`agentplat tasks list | head`); what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def run_command(arguments: Sequence[str]) -> int:
    """The exit code of the command, whichever distribution it comes from."""
    known = {**_offered(), **CORE_COMMANDS}
    if arguments and arguments[0] in known:
        name, *rest = arguments
        app = _loaded(known[name][1])
        return int(app(args=rest, prog_name=f"agentplat {name}", standalone_mode=True) or 0)
    overview = _overview({**CORE_COMMANDS, **known})
    return int(overview(args=list(arguments) or ["--help"], prog_name="agentplat") or 0)


def _offered() -> dict[str, tuple[str, str]]:
    selection = read_selection(project_folder(os.environ), os.environ)
    commands = load_plugins(selection).registries.commands
    return {spec.name: (spec.help, spec.target) for spec in commands}


def _loaded(target: str) -> typer.Typer:
    module, _, name = target.partition(":")
    found = getattr(import_module(module), name)
    if isinstance(found, typer.Typer):
        return found
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(found)
    return app


def _overview(known: dict[str, tuple[str, str]]) -> typer.Typer:
    """An app that can show its help, and say that a command does not exist."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Durable AI-agent workflows, declared in YAML, on your own machines.",
    )

    def version(show: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
        if show:
            from importlib.metadata import version as installed

            typer.echo(installed("agentplat-core"))
            raise typer.Exit

    app.callback(invoke_without_command=True)(version)
    for name, (help_line, _) in known.items():
        app.command(name, help=help_line)(lambda: None)
    return app


def _complain(error: AgentplatError, code: int) -> None:
    typer.secho(f"Error ({error.code}): {error.detail}", err=True, fg=typer.colors.RED)
    sys.exit(code)
