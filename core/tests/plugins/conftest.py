from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

REPORT = """
import json, os, sys
from pathlib import Path
from agentplat.plugins.host import load_plugins
from agentplat.plugins.selection import read_selection

plugins = load_plugins(read_selection(Path.cwd(), os.environ))
print(json.dumps({
    "plugins": {
        record.name: {
            "distribution": record.distribution, "version": record.version, "state": record.state,
            "reason": record.reason, "offers": record.offers,
        }
        for record in plugins.records
    },
    "agents": plugins.registries.agents.names,
    "modules": sorted(sys.modules),
}))
"""


@dataclass(frozen=True)
class Site:
    """A folder on the module path into which packages are installed as a wheel would be."""

    folder: Path
    project: Path

    def install(self, name: str, source: str, *, distribution: str | None = None, module: str | None = None) -> None:
        distribution = distribution or f"agentplat-{name}"
        module = module or f"{distribution.replace('-', '_')}_plugin"
        (self.folder / f"{module}.py").write_text(dedent(source), encoding="utf-8")
        described = self.folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (described / "entry_points.txt").write_text(f"[agentplat]\n{name} = {module}\n")

    def run(self, script: str, **env: str) -> subprocess.CompletedProcess[str]:
        """A fresh process: stevedore and the import system remember what they saw."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENTPLAT_")}
        return subprocess.run(
            [sys.executable, "-c", script],
            cwd=self.project,
            env={**kept, "PYTHONPATH": str(self.folder), "XDG_CACHE_HOME": str(self.project / "cache"), **env},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )

    def report(self, **env: str) -> Mapping[str, Any]:
        """What the host made of everything that is installed."""
        report: Mapping[str, Any] = json.loads(self.run(REPORT, **env).stdout)
        return report


def made_site(folder: Path) -> Site:
    site = Site(folder / "site", folder / "project")
    site.folder.mkdir()
    site.project.mkdir()
    return site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return made_site(tmp_path)


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return made_site(tmp_path_factory.mktemp("shared"))
