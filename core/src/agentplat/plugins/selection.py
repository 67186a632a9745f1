"""Which plugins may be imported. Read before anything else, with the standard library alone."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentplat.domain.errors import SettingsInvalid

SETTINGS_FILE = "agentplat.toml"
ALLOW_VARIABLE = "AGENTPLAT_PLUGINS"
DENY_VARIABLE = "AGENTPLAT_PLUGINS_DENY"
PROJECT_VARIABLE = "AGENTPLAT_PROJECT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Names of entry points. What is denied stays out, whether or not it is allowed too."""

    allow: tuple[str, ...] | None = None  # None: every plugin; empty: the bare core
    deny: tuple[str, ...] = ()

    def refusal(self, name: str) -> str | None:
        """Why a plugin stays out; None when it may be imported."""
        if name in self.deny:
            return "denied by name (plugins_deny)"
        if self.allow is not None and name not in self.allow:
            return "not among the plugins that are allowed (plugins)"
        return None


def plugin_names(value: object) -> tuple[str, ...] | None:
    """The names in a setting: a list, or one text with commas. `none` is the empty list; None and "" say nothing.

    Raises ValueError for anything else.
    """
    if value is None:
        return None
    if isinstance(value, str):
        names = [name.strip() for name in value.split(",") if name.strip()]
        if names == ["none"]:
            return ()
        return tuple(names) or None
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise ValueError("is neither a list of names, nor names with commas, nor 'none'")


def project_folder(env: Mapping[str, str], given: Path | None = None) -> Path:
    """The project's folder: the given one, else what the environment says, else the current one."""
    return (given or Path(env.get(PROJECT_VARIABLE) or ".")).absolute()


def read_selection(folder: Path, env: Mapping[str, str]) -> Selection:
    """What the environment says, else the project's `agentplat.toml`. SettingsInvalid when that cannot be read.

    The whole of the settings is checked elsewhere; this reads two keys, so that `agentplat --help` stays quick and a
    plugin that is switched off is never imported.
    """
    file = folder / SETTINGS_FILE
    project: Mapping[str, object] = {}
    if file.is_file():
        try:
            project = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsInvalid(f"{file} cannot be read: {error}.") from error
    chosen: dict[str, tuple[str, ...] | None] = {}
    for key, variable in (("plugins", ALLOW_VARIABLE), ("plugins_deny", DENY_VARIABLE)):
        try:
            chosen[key] = plugin_names(env.get(variable) or project.get(key))
        except ValueError as error:
            raise SettingsInvalid(f"{file}: {key} {error}.") from error
    return Selection(allow=chosen["plugins"], deny=chosen["plugins_deny"] or ())
