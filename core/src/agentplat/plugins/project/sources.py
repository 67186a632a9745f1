"""What one file of the project gives: its offers, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from agentplat.contracts.agent import AgentSpec
from agentplat.contracts.specs import WorkflowSpec
from agentplat.contracts.tool import ToolSpec
from agentplat.domain.errors import WorkflowInvalid
from agentplat.language.diagnostics import START, Diagnostic, Diagnostics, Mark
from agentplat.language.yaml import load
from agentplat.plugins.foreign import described
from agentplat.plugins.project.entries import Read, read_agents, read_tools
from agentplat.plugins.project.python_files import SourceBroken, specs_in

ProjectSpec: TypeAlias = AgentSpec | ToolSpec | WorkflowSpec


@dataclass(frozen=True, slots=True)
class ProjectOffer:
    spec: ProjectSpec
    file: str  # relative to the project's folder
    mark: Mark
    renamed: bool = False  # an entry gave the name, so the class may have another

    @property
    def origin(self) -> str:
        return f"{self.file}:{self.mark.line}"

    def diagnosed(self, code: str, text: str, hint: str = "") -> str:
        """A diagnostic at the place of the offer."""
        return str(Diagnostic(self.file, self.mark, code, text, hint))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file, read. `broken` has the names whose entries are at fault; None: the file as a whole is."""

    file: str
    offers: tuple[ProjectOffer, ...] = ()
    faults: tuple[str, ...] = ()
    broken: frozenset[str] | None = frozenset()


def read_sources(folder: Path) -> Iterator[Source]:
    """Every file of the project that may offer something, in a fixed order. Never raises for what is in them."""
    for below in ("agents", "tools"):
        for file in sorted((folder / below).glob("*.py")):
            if not file.name.startswith("_"):
                yield _python(file, file.relative_to(folder).as_posix())
    for name, read in (("agents.yaml", read_agents), ("tools.yaml", read_tools)):
        if (folder / name).is_file():
            yield _entries(folder / name, name, read)
    for file in sorted((folder / "workflows").glob("*.yaml")):
        yield _workflow(file, file.relative_to(folder).as_posix())


def written_files(folder: Path) -> dict[Path, int]:
    """Every file that `read_sources` would read, with the time of its last change."""
    patterns = ("agents/*.py", "tools/*.py", "workflows/*.yaml", "agents.yaml", "tools.yaml")
    times = {}
    for file in (file for pattern in patterns for file in folder.glob(pattern)):
        with suppress(OSError):  # it went away in between
            times[file] = file.stat().st_mtime_ns
    return times


def _python(file: Path, name: str) -> Source:
    try:
        found = specs_in(file)
    except SourceBroken as broken:
        fault = Diagnostic(name, Mark(broken.line or 1, 1), "not_usable", broken.reason)
        return Source(file=name, faults=(str(fault),), broken=None)
    return Source(file=name, offers=tuple(ProjectOffer(spec, name, Mark(line, 1)) for spec, line in found))


def _entries(file: Path, name: str, read: Read) -> Source:
    diagnostics = Diagnostics(name)
    try:
        entries = read(load(file.read_bytes(), name), diagnostics)
    except WorkflowInvalid as invalid:
        return Source(file=name, faults=invalid.diagnostics, broken=None)
    except OSError as error:
        fault = Diagnostic(name, START, "not_readable", described(error))
        return Source(file=name, faults=(str(fault),), broken=None)
    faults = tuple(str(fault) for fault in sorted(set(diagnostics.found)))
    return Source(
        file=name,
        offers=tuple(ProjectOffer(entry.spec, name, entry.mark, renamed=True) for entry in entries if entry.spec),
        faults=faults,
        broken=frozenset(entry.name for entry in entries if entry.name and not entry.spec) if entries else None,
    )


def _workflow(file: Path, name: str) -> Source:
    """The workflow by the name in its document. Whether the document makes sense is found out when it is compiled."""
    try:
        document = load(file.read_bytes(), name)
    except (WorkflowInvalid, OSError) as error:
        faults = error.diagnostics if isinstance(error, WorkflowInvalid) else (described(error),)
        # By the file's name, so that it is listed, as a workflow that cannot be used.
        spec = WorkflowSpec(name=file.stem, file=str(file))
        return Source(file=name, offers=(ProjectOffer(spec, name, START),), faults=faults, broken=None)
    keys = document.value if isinstance(document.value, dict) else {}
    written = keys.get("name")
    spec = WorkflowSpec(
        name=written if isinstance(written, str) else file.stem,
        file=str(file),
        replaces=keys.get("replaces") is True,
    )
    return Source(file=name, offers=(ProjectOffer(spec, name, document.mark(("name",))),))
