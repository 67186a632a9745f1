"""`agentplat`: the commands of the core, and those that installed plugins offer.

Nothing heavy is imported before a command is called, so that `--help` answers at once; typer is not either.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module, metadata
from typing import TYPE_CHECKING

from agentplat.domain.errors import AgentplatError, UnknownName, UsageError
from agentplat.plugins.discovery import PluginState
from agentplat.plugins.host import load_plugins
from agentplat.plugins.selection import project_folder, read_selection

if TYPE_CHECKING:
    from agentplat.plugins.host import Plugins

_HERE = "agentplat.runtime.cli"
CORE_COMMANDS = {
    "api": ("Serve the installed interfaces.", f"{_HERE}.serve:api"),
    "dev": ("API and worker by one command; reloads project files.", f"{_HERE}.serve:dev"),
    "plugins": ("Show what is installed, in which state, and why.", f"{_HERE}.plugins:plugins"),
    "worker": ("Work on tasks: a keeper and its worker process.", f"{_HERE}.serve:worker"),
}
"""Name to help and target. The target, a function or a typer.Typer, is imported when it is called."""


def main() -> None:
    """Run the command that the arguments name. Exit code 2 for a wrong use, 1 for what went wrong besides."""
    gc.set_threshold(50_000, 50, 50)  # looking for garbage among modules that stay took a sixth of a short command
    try:
        try:
            sys.exit(run_command(sys.argv[1:]))
        finally:
            sys.stdout.flush()  # here, where a reader that went away is expected
    except AgentplatError as error:
        _complain(f"Error ({error.code}): {error.detail}")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (`agentplat tasks list | head`); what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _complain(f"Error (system): {error}")
        sys.exit(1)


def run_command(arguments: Sequence[str]) -> int:
    """The exit code of the command, whichever distribution it comes from."""
    name, *rest = arguments or ["--help"]
    if name in CORE_COMMANDS:
        return _call(name, CORE_COMMANDS[name][1], rest)
    if name == "--version":
        sys.stdout.write(f"{metadata.version('agentplat-core')}\n")
        return 0
    plugins = load_plugins(read_selection(project_folder(os.environ), os.environ))
    commands = {spec.name: (spec.help, spec.target) for spec in plugins.registries.commands} | CORE_COMMANDS
    if name == "--help":
        sys.stdout.write(_overview(commands))
        return 0
    if rest and f"{name}_{rest[0]}" in commands:  # another distribution's part of a group: `workflows_simulate`
        name = f"{name}_{rest.pop(0)}"
    if name not in commands:
        raise _unknown(name, commands, plugins)
    try:
        return _call(name, commands[name][1], rest)
    finally:
        if rest in ([], ["--help"]):
            sys.stdout.write(_parts(name, commands))


def _call(name: str, target: str, arguments: Sequence[str]) -> int:
    import typer

    from agentplat.runtime.cli.options import command_group

    module, _, attribute = target.partition(":")
    app = getattr(import_module(module), attribute)
    if not isinstance(app, typer.Typer):
        function, app = app, command_group()
        app.command()(function)
    return int(app(args=arguments, prog_name=f"agentplat {name.replace('_', ' ')}") or 0)


def _parts(name: str, commands: Mapping[str, tuple[str, str]]) -> str:
    """What other distributions add to a group, as its own help does not know of it; nothing for most commands."""
    parts = {part.removeprefix(f"{name}_"): line for part, (line, _) in commands.items() if part.startswith(f"{name}_")}
    if not parts:
        return ""
    return f"\nFrom other packages:\n{_listed(parts)}"


def _listed(lines: Mapping[str, str]) -> str:
    width = max(map(len, lines))
    return "".join(f"  {name:{width}}  {line}\n" for name, line in sorted(lines.items()))


def _overview(commands: Mapping[str, tuple[str, str]]) -> str:
    alone = {
        name: line for name, (line, _) in commands.items() if name.partition("_")[0] not in (set(commands) - {name})
    }
    listed = _listed(alone)
    return (
        "Usage: agentplat COMMAND [ARGUMENTS]...\n\n"
        "  Durable AI-agent workflows, declared in YAML, on your own machines.\n\n"
        f"Commands:\n{listed}\n"
        "  agentplat COMMAND --help  says more of a command.\n"
        "  agentplat --version       shows the version.\n"
    )


def _unknown(name: str, commands: Mapping[str, object], plugins: Plugins) -> UsageError:
    """Says also which plugins cannot offer it just now."""
    out = [record.name for record in plugins.records if record.state is not PluginState.ACTIVE]
    error = UnknownName("command", name, tuple(commands))
    if not out:
        return error
    return UsageError(f"{error.detail} Not loaded, see `agentplat plugins`: {', '.join(out)}.")


def _complain(text: str) -> None:
    if sys.stderr.isatty():
        text = f"\033[31m{text}\033[0m"
    sys.stderr.write(f"{text}\n")
