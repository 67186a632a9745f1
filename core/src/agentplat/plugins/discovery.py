"""Finding installed plugins: stevedore lists the names, the selection is applied, only then something is imported."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from importlib import metadata

from stevedore.named import NamedExtensionManager

from agentplat.plugins.foreign import attempt, described
from agentplat.plugins.selection import Selection

GROUP = "agentplat"


class PluginState(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"  # switched off by the selection; not imported
    REJECTED = "rejected"  # at fault; nothing of it is used


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry point, imported or not. One that was not has a reason, and is disabled or rejected."""

    name: str
    module: object = None
    state: PluginState = PluginState.ACTIVE
    reason: str | None = None


def discover(selection: Selection) -> list[Found]:
    """All installed plugins in the order of their names, those that may be used imported; never raises.

    stevedore keeps what it listed: a plugin that is installed later is seen by the next process. It keeps it on disk
    too, by times that are exact to two minutes: the same version, installed again with other entry points, may be
    seen that much later.
    """
    listing = NamedExtensionManager[object](GROUP, names=[], on_missing_entrypoints_callback=None)
    modules: dict[str, list[str]] = {}
    for entry_point in listing.list_entry_points():
        modules.setdefault(entry_point.name, []).append(entry_point.value)
    found = [_found(name, sorted(values), selection) for name, values in modules.items()]
    found += _not_installed(selection, list(modules))
    return sorted(found, key=lambda plugin: plugin.name)


def distributions() -> dict[str, tuple[str, str]]:
    """Name and version of the distribution by the name of its plugin. Reads files; not on the way to `--help`."""
    return {
        entry_point.name: (entry_point.dist.name, entry_point.dist.version)
        for entry_point in metadata.entry_points(group=GROUP)
        if entry_point.dist is not None
    }


def _found(name: str, modules: list[str], selection: Selection) -> Found:
    refusal = selection.refusal(name)
    if refusal is not None:
        return Found(name=name, state=PluginState.DISABLED, reason=refusal)
    if len(modules) > 1:
        several = f"several distributions call a plugin so: {', '.join(modules)}; uninstall all but one"
        return Found(name=name, state=PluginState.REJECTED, reason=several)
    module, reason = _imported(name)
    if reason is not None:
        return Found(name=name, state=PluginState.REJECTED, reason=f"cannot be imported: {reason}")
    return Found(name=name, module=module)


def _imported(name: str) -> tuple[object, str | None]:
    reasons: list[str] = []

    def failed(manager: object, entry_point: object, error: BaseException) -> None:  # noqa: ARG001 - stevedore's form
        reasons.append(described(error))

    # One manager per plugin: stevedore lets an AssertionError through, which would take the others with it.
    manager, reason = attempt(
        lambda: NamedExtensionManager[object](
            GROUP, names=[name], on_load_failure_callback=failed, on_missing_entrypoints_callback=None
        )
    )
    if manager is None or not manager.extensions:
        return None, reason or "; ".join(reasons)
    return manager.extensions[0].plugin, None


def _not_installed(selection: Selection, installed: list[str]) -> list[Found]:
    """The names in the selection that nothing has: a slip of the pen there switches the wrong things on or off."""
    wanted = dict.fromkeys(selection.deny, PluginState.DISABLED)
    wanted |= {name: PluginState.REJECTED for name in selection.allow or () if name not in wanted}
    missing: list[Found] = []
    for name, state in wanted.items():
        if name not in installed:
            nearest = get_close_matches(name, installed, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            missing.append(Found(name=name, state=state, reason=f"named in the settings, but not installed{hint}"))
    return missing
