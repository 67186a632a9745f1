"""The plugin host: checks each plugin, collects what it offers, rejects a faulty one as a whole, with the reason."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import pluggy

from agentplat.contracts.interface import InterfaceSpec
from agentplat.plugins import hookspecs
from agentplat.plugins.discovery import Found, PluginState, discover, distributions
from agentplat.plugins.foreign import attempt
from agentplat.plugins.observers import Observers
from agentplat.plugins.offers import KINDS, Kind, Spec, fault
from agentplat.plugins.registry import Registries, RegistryBuilder
from agentplat.plugins.selection import Selection

_HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("agentplat_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """What became of one plugin. `offers` has names by kind, of a rejected plugin too, as far as they are known."""

    name: str
    distribution: str | None
    version: str | None
    state: PluginState
    reason: str | None
    offers: Mapping[str, tuple[str, ...]]


class Plugins:
    """What was found, and what of it is used: a value that the composition root hands on."""

    def __init__(self, candidates: Iterable[_Candidate]) -> None:
        self._candidates = tuple(candidates)
        accepted = [candidate for candidate in self._candidates if candidate.state is PluginState.ACTIVE]
        builder = RegistryBuilder()
        for candidate in accepted:
            for spec in candidate.specs:
                builder.register(spec, origin=f"plugin {candidate.name}")
        self.registries: Registries = builder.build()
        self.observers = Observers({candidate.name: candidate.manager for candidate in accepted})

    @cached_property
    def records(self) -> tuple[PluginRecord, ...]:
        """One per plugin, in the order of their names. Reads the distributions' metadata at first use."""
        known = distributions()
        return tuple(
            PluginRecord(
                name=candidate.name,
                distribution=known.get(candidate.name, (None, None))[0],
                version=known.get(candidate.name, (None, None))[1],
                state=candidate.state,
                reason=candidate.reason,
                offers={
                    kind.field: tuple(spec.name for spec in specs)
                    for kind in KINDS
                    if (specs := candidate.offers.get(kind.field))
                },
            )
            for candidate in self._candidates
        )


def load_plugins(selection: Selection | None = None) -> Plugins:
    """The installed plugins that the selection leaves. Never raises: what is at fault is rejected, the rest works."""
    return host(discover(selection or Selection()))


def host_modules(modules: Mapping[str, object]) -> Plugins:
    """The given modules, or objects with hooks, as plugins: for tests, and for a program that brings its own."""
    return host(Found(name=name, module=module) for name, module in sorted(modules.items()))


def host(found: Iterable[Found]) -> Plugins:
    """What was found, checked and collected."""
    candidates = [_examined(plugin) for plugin in found]
    _reject_conflicts(candidates)
    return Plugins(candidates)


class _Rejected(Exception):
    pass


@dataclass(slots=True)
class _Candidate:
    name: str
    state: PluginState
    reason: str | None
    # A manager of its own: nothing that a plugin registers can reach, or half register in, another one's.
    manager: pluggy.PluginManager = field(default_factory=lambda: pluggy.PluginManager("agentplat"))
    offers: dict[str, list[Spec]] = field(default_factory=dict)

    @property
    def specs(self) -> Iterable[Spec]:
        return (spec for specs in self.offers.values() for spec in specs)

    def reject(self, reason: str) -> None:
        self.state, self.reason = PluginState.REJECTED, reason


def _examined(found: Found) -> _Candidate:
    candidate = _Candidate(found.name, found.state, found.reason)
    if found.state is PluginState.ACTIVE:
        try:
            _check_level(found.module)
            _register(candidate.manager, found)
            for kind in KINDS:
                candidate.offers[kind.field] = _offered(candidate.manager, kind)
        except _Rejected as rejection:
            candidate.reject(str(rejection))
    return candidate


def _check_level(module: object) -> None:
    level = getattr(module, "API_LEVEL", None)
    if not isinstance(level, int) or isinstance(level, bool):
        raise _Rejected("does not declare the level of its hooks, as in API_LEVEL = 1")
    if level > hookspecs.API_LEVEL:
        raise _Rejected(
            f"needs API level {level}, but this agentplat has {hookspecs.API_LEVEL}: upgrade agentplat-core"
        )
    if level < 1:
        raise _Rejected(f"declares API level {level}; the first one is 1")


def _register(manager: pluggy.PluginManager, found: Found) -> None:
    manager.add_hookspecs(hookspecs)
    unmarked = [
        name
        for name, value in inspect.getmembers_static(found.module, inspect.isfunction)
        if name.startswith("agentplat_") and not hasattr(value, "agentplat_impl")
    ]
    if unmarked:
        raise _Rejected(f"{unmarked[0]} is not marked with @agentplat.hookimpl, so it would never be called")
    _, reason = attempt(lambda: manager.register(found.module, found.name))
    if reason is not None:
        raise _Rejected(f"has a hook of the wrong form: {reason}")
    for caller in manager.get_hookcallers(found.module) or ():
        for implementation in caller.get_hookimpls():
            if not caller.has_spec() and not implementation.optionalhook:
                nearest = get_close_matches(caller.name, _HOOKS, n=1)
                hint = f"; did you mean {nearest[0]}?" if nearest else ""
                raise _Rejected(f"has an unknown hook, {caller.name}{hint}")
            function = implementation.function
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                raise _Rejected(f"{caller.name} is async: hooks are plain functions, they are never awaited")
            if implementation.wrapper or implementation.hookwrapper:
                raise _Rejected(f"{caller.name} is a wrapper: a plugin cannot wrap what another one offers")


def _offered(manager: pluggy.PluginManager, kind: Kind) -> list[Spec]:
    caller = getattr(manager.hook, kind.hook)
    results: list[list[Any]] | None
    results, reason = attempt(lambda: [list(result) for result in _results(caller)])
    if reason is not None or results is None:
        raise _Rejected(f"{kind.hook} failed: {reason}")
    specs = [spec for result in results for spec in result]
    for spec in specs:
        if type(spec) is not kind.spec:
            raise _Rejected(f"{kind.hook} returned {type(spec).__name__} where {kind.spec.__name__} is expected")
        wrong = fault(spec)
        if wrong is not None:
            raise _Rejected(f"{kind.hook} returned an unfit {kind.spec.__name__}: {wrong}")
        if getattr(spec, "replaces", False):
            raise _Rejected(f"{kind.hook} returned {spec.name!r} with replaces=True, which only a project may say")
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise _Rejected(f"{kind.hook} returned {name!r} twice")
    return specs


def _results(caller: Any) -> list[Any]:
    results: list[Any] = caller()
    # pluggy drops what is None.
    if len(results) < len(caller.get_hookimpls()):
        raise TypeError("returned None; return an empty list when there is nothing to offer")
    for result in results:
        if isinstance(result, str | bytes | Mapping):
            raise TypeError(f"returned a {type(result).__name__}, not an iterable of specs")
    return results


def _reject_conflicts(candidates: list[_Candidate]) -> None:
    """Reject every plugin that offers a name which another one offers too.

    Both go, whole: a winner chosen by sort order would be a silent takeover, and half a plugin is no better. All
    conflicts are found before anybody is rejected, so the outcome does not depend on an order.
    """
    claims: dict[tuple[str, str], list[_Candidate]] = {}
    for candidate in candidates:
        if candidate.state is PluginState.ACTIVE:
            for claim in _claims(candidate):
                claims.setdefault(claim, []).append(candidate)
    for (what, name), rivals in claims.items():
        for candidate in rivals:
            others = ", ".join(rival.name for rival in rivals if rival is not candidate)
            if others and candidate.reason is None:
                candidate.reject(
                    f"offers the {what} {name!r}, and so does {others}; switch off all but one (plugins_deny)"
                )


def _claims(candidate: _Candidate) -> Iterable[tuple[str, str]]:
    for kind in KINDS:
        for spec in candidate.offers[kind.field]:
            yield kind.word, spec.name
            if isinstance(spec, InterfaceSpec):
                yield "prefix", spec.prefix
