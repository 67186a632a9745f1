"""The composition root: settings to registries, store, definitions and client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from agentplat import telemetry
from agentplat.contracts.firing import ScheduleStore
from agentplat.contracts.interface import Description
from agentplat.domain.errors import SettingsInvalid
from agentplat.domain.json import JsonValue
from agentplat.engine.client.identity import user_hasher
from agentplat.engine.client.local import LocalClient
from agentplat.engine.client.schedules.firing import Scheduler
from agentplat.engine.definitions import Definitions
from agentplat.plugins.discovery import PluginState
from agentplat.plugins.host import Plugins, load_plugins
from agentplat.plugins.project.generation import Project, load_project
from agentplat.plugins.project.sources import written_files
from agentplat.plugins.registry import Registries
from agentplat.runtime.identity_key import identity_key
from agentplat.runtime.settings import Settings
from agentplat.store.connect import open_store
from agentplat.store.sqlite import make_folder

_LOOK = 0.5  # seconds between two looks at the project's files


class Platform:
    """Everything that a process of agentplat needs. Made by `open_platform`."""

    def __init__(self, settings: Settings, plugins: Plugins, store: ScheduleStore) -> None:
        self.settings = settings
        self.plugins = plugins
        self.store = store
        self.definitions = Definitions(store)
        self._written = written_files(settings.project)
        self._project: Project = load_project(settings.project, plugins.registries)

    @property
    def registries(self) -> Registries:
        """The generation that is current now."""
        return self._project.registries

    @property
    def is_current(self) -> bool:
        """Whether the project's files are as they were read."""
        return written_files(self.settings.project) == self._written

    def reload(self) -> None:
        """Read the project's folder again. What is broken keeps out; tasks that run keep what they began with."""
        self._written = written_files(self.settings.project)  # before they are read: what changes meanwhile is seen
        self._project = load_project(self.settings.project, self.plugins.registries, self._project)

    async def follow(self, told: Callable[..., None] = lambda *_: None) -> None:
        """Reload whenever a file of the project changes, for ever; `told` gets a line for each thing to know."""
        while True:
            await asyncio.sleep(_LOOK)
            if not self.is_current:
                self.reload()
                told("The project's files changed and were read again.", *self.faults)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with the project's files, line by line."""
        return (*self._project.faults, *self._faults_of_workflows())

    def _faults_of_workflows(self) -> Iterator[str]:
        """Those that only a compiler finds; and each file that is good by now has a last good version from here on."""
        for record in self._project.records:
            if record.reason is None:
                for name in record.offers.get("workflows", ()):
                    yield from self.definitions.faults(self.registries, name)

    def client(self, *, development: bool = False) -> LocalClient:
        key = identity_key(self.settings)
        return LocalClient(
            self.store,
            lambda: self.registries,
            self.definitions,
            hash_user=user_hasher(self.settings.identity.hash, key or b""),
            plugins=self.described_plugins,
            development=development,
            project=self.settings.project,
            reload=self.reload,
        )

    def scheduler(self) -> Scheduler:
        """What a sweeper needs so that schedules fire."""
        return Scheduler(self.store, lambda: self.registries, self.definitions)

    def described_plugins(self) -> Sequence[Description]:
        """Every plugin and every file of the project that was found, with its state."""
        found = []
        for record in (*self.plugins.records, *self._project.records):
            values: dict[str, JsonValue] = {
                "distribution": record.distribution,
                "version": record.version,
                "state": record.state.value,
                "reason": record.reason,
                "offers": {kind: list(names) for kind, names in record.offers.items()},
            }
            found.append(Description(name=record.name, description=record.distribution or "", values=values))
        return found

    def migrate(self) -> None:
        """Bring the schema of every distribution that owns tables to its newest revision."""
        for spec in self.registries.migrations:
            _target(spec.upgrade)(self.settings.database_url)


def _target(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


async def _at_once(platform: Platform) -> None:
    del platform


@asynccontextmanager
async def open_platform(
    settings: Settings, *, before_opening: Callable[[Platform], Awaitable[None]] = _at_once
) -> AsyncIterator[Platform]:
    """A platform with an open store. SQLite is migrated on the way; PostgreSQL must be current (SchemaOutdated)."""
    plugins = load_plugins(settings.selection)
    for record in plugins.records:
        if record.state is PluginState.REJECTED:
            telemetry.log.warning(telemetry.PLUGIN_REJECTED, plugin=record.name, reason=record.reason)
    store = open_store(settings.database_url)
    platform = Platform(settings, plugins, store)
    if settings.sqlite_file is not None:
        if not len(platform.registries.migrations):
            raise SettingsInvalid(
                "No installed plugin offers migrations, so an SQLite database cannot be made. "
                "Install agentplat-migrations, and let it be loaded (plugins, plugins_deny)."
            )
        make_folder(settings.sqlite_file)
        # In a thread: Alembic's environment runs an event loop of its own.
        await asyncio.to_thread(platform.migrate)
    await before_opening(platform)
    await store.open()
    try:
        yield platform
    finally:
        await platform.registries.aclose()
        await store.close()
