"""The command line, from the commands themselves."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer

from agentplat.plugins.host import load_plugins
from agentplat.runtime.cli.main import CORE_COMMANDS

from .tables import code, table


def commands() -> str:
    """Every command with its arguments and options."""
    offered = {spec.name: spec.target for spec in load_plugins().registries.commands}
    known = {**offered, **{name: target for name, (_, target) in CORE_COMMANDS.items()}}
    spoken = sorted((name.replace("_", " "), target) for name, target in known.items())
    return "\n\n".join("\n\n".join(_command(name, _loaded(target))) for name, target in spoken)


def _loaded(target: str) -> Any:
    """The command or group of commands behind a target. Typer's classes for them are its own affair."""
    module, _, name = target.partition(":")
    app = getattr(import_module(module), name)
    if not isinstance(app, typer.Typer):
        function, app = app, typer.Typer(add_completion=False)
        app.command()(function)
    return typer.main.get_command(app)


def _command(name: str, command: Any) -> Iterator[str]:
    below = getattr(command, "commands", {})
    rows = list(_parameters(command))
    arguments = [p.name.upper() for p in command.params if p.param_type_name == "argument"]
    yield f"### agentplat {name}"
    if not below:
        yield code(" ".join(["agentplat", name, *arguments, *(["[options]"] if len(rows) > len(arguments) else [])]))
    yield inspect.cleandoc(command.help or "")
    if rows:
        yield table(("argument or option", "default", "meaning"), rows)
    for child in below:
        yield from _command(f"{name} {child}", below[child])


def _parameters(command: Any) -> Iterator[tuple[str, str, str]]:
    for found in command.params:
        if found.param_type_name == "argument":
            name = found.name.upper()
        else:
            name = ", ".join([*found.opts, *found.secondary_opts]) + ("" if found.is_flag else f" {_kind(found)}")
        default = found.default
        shown = "required" if found.required else "" if default in (None, False) or callable(default) else code(default)
        yield code(name), shown, found.help or ""


def _kind(found: Any) -> str:
    words = {int: "NUMBER", float: "NUMBER", str: "TEXT"}
    return words.get(found.type_descriptor.annotation, "PATH")
