"""What holds for every plugin, whatever it offers."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, ClassVar

from agentplat.plugins.hookspecs import API_LEVEL
from agentplat.plugins.offers import KINDS, fault
from agentplat.plugins.registry import Registries, RegistryBuilder

HEAVY = (
    "aiosqlite",
    "alembic",
    "fastapi",
    "httpx",
    "jsonschema_rs",
    "minijinja",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "pydantic",
    "requests",
    "rich",
    "sqlalchemy",
    "starlette",
    "structlog",
    "typer",
    "uvicorn",
    "yaml",
)
_IMPORTED = """
import json, sys
before = set(sys.modules)
__import__({module!r})
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imported_by(module: str) -> list[str]:
    """The modules that importing `module` brings into a fresh interpreter."""
    code = _IMPORTED.format(module=module)
    # The code is ours and the module's name comes from installed metadata.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"importing {module} failed:\n{done.stderr}"
    names: list[str] = json.loads(done.stdout)
    return names


@cache
def entry_point(plugin: str) -> EntryPoint:
    """The entry point of that name. AssertionError when it is not installed."""
    found = [point for point in entry_points(group="agentplat") if point.name == plugin]
    assert found, f"no entry point {plugin!r} in the group 'agentplat': is the distribution installed?"
    return found[0]


class PluginContract:
    """`plugin` is the name of the entry point, `name` that of the spec.

    class TestContract(AgentContract):
        plugin, name = "agent-summarizer", "summarizer"
        example = {"text": "A long text."}
    """

    plugin: ClassVar[str]
    name: ClassVar[str]
    offers: ClassVar[str]  # which kind of spec: the name of a registry

    @classmethod
    def module(cls) -> ModuleType:
        return import_module(entry_point(cls.plugin).value)

    @classmethod
    def spec(cls) -> Any:
        """The spec of that name. AssertionError when the plugin does not offer it exactly once."""
        offered = getattr(cls.module(), f"agentplat_{cls.offers}", None)
        assert offered is not None, f"{cls.plugin} has no hook agentplat_{cls.offers}"
        specs = [spec for spec in offered() if spec.name == cls.name]
        assert len(specs) == 1, f"{cls.plugin} offers {len(specs)} of {cls.offers} with the name {cls.name!r}"
        return specs[0]

    @classmethod
    def registries(cls) -> Registries:
        """Registries with this spec and nothing else."""
        builder = RegistryBuilder()
        builder.register(cls.spec(), origin=f"plugin {cls.plugin}")
        return builder.build()

    def test_the_plugin_is_light_to_import(self) -> None:
        imported = {name.partition(".")[0] for name in imported_by(entry_point(self.plugin).value)}
        heavy = sorted(imported & set(HEAVY))
        assert not heavy, f"plugin.py of {self.plugin} imports {', '.join(heavy)}; name classes by path instead"

    def test_the_plugin_says_for_which_api_level_it_was_written(self) -> None:
        level = getattr(self.module(), "API_LEVEL", None)
        assert level == API_LEVEL, f"API_LEVEL of {self.plugin} is {level!r}; this agentplat has {API_LEVEL}"

    def test_the_spec_can_be_registered(self) -> None:
        spec = self.spec()
        kind = next(kind for kind in KINDS if kind.field == self.offers)
        assert type(spec) is kind.spec, f"agentplat_{self.offers} gives a {type(spec).__name__}"
        assert fault(spec) is None, fault(spec)
        assert getattr(spec, "description", "").strip(), f"{self.name!r} has no description"
