"""Workflows as files that can be read, checked and put, and the versions that became of them."""

from __future__ import annotations

import asyncio
import difflib
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from agentplat.contracts.specs import Subject
from agentplat.contracts.store import Definition, Store
from agentplat.contracts.versions import WorkflowFile, WorkflowVersion
from agentplat.domain.errors import (
    ConflictError,
    InputRejected,
    NotFound,
    UnknownName,
    VersionConflict,
    WorkflowInvalid,
)
from agentplat.domain.json import JsonObject, JsonValue, unstorable
from agentplat.engine.catalog import Catalog
from agentplat.engine.client.submission import DEFAULT_TENANT
from agentplat.engine.definitions import CatalogNames, Definitions, analysed, diagnosed
from agentplat.language.compiler import normalise
from agentplat.language.yaml import dump, load

_NAME = re.compile(r"[a-z][a-z0-9_]{0,199}")
_LEAST_PREFIX = 6


class Versions:
    """One per client. `folder` is the project's; None where workflows are only read."""

    def __init__(
        self,
        store: Store,
        catalog: Callable[[], Catalog],
        definitions: Definitions,
        folder: Path | None,
        reload: Callable[[], None],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._definitions = definitions
        self._folder = folder
        self._reload = reload

    def read(self, name: str) -> WorkflowFile:
        """The file as it is now. NotFound for an unknown name."""
        file = self._file(name)
        if file is None:
            raise self._unknown(name)
        try:
            text = file.read_bytes().decode(errors="replace")
        except OSError as error:
            raise NotFound(f"The file of workflow {name!r} cannot be read: {error.strerror}.") from None
        return WorkflowFile(
            name=name,
            text=text,
            text_hash=_hash_of(text),
            hash=self._current(name),
            diagnostics=self._definitions.faults(self._catalog(), name),
            is_ours=self._is_ours(file),
        )

    def check(self, text: str) -> Sequence[str]:
        """What is wrong with a workflow, held against what is installed here; nothing when it is valid."""
        return diagnosed(self._catalog(), text, "workflow")

    async def analysis(self, name: str, workflow: str | None, options: JsonObject) -> JsonValue:
        """What the analysis says of a workflow's file, or, without one, of all that is installed.

        NotFound for an unknown workflow, WorkflowInvalid, NotInstalled.
        """
        catalog = self._catalog()
        subject = Subject(file="")
        if workflow is not None:
            file = self._file(workflow)
            if file is None:
                raise self._unknown(workflow)
            subject = Subject(file=file.name, text=self.read(workflow).text, options=options)
        return await asyncio.to_thread(analysed, catalog, name, subject)

    async def put(self, name: str, text: str, expected: str | None) -> WorkflowFile:
        """The workflow, which new tasks use from now on. `expected` is the `text_hash` of the file that it replaces.

        VersionConflict when the file is another one by now, or is there and none was expected; WorkflowInvalid;
        InputRejected when the text is of another workflow; ConflictError for one that is installed.
        """
        folder = self._writable()
        fault = unstorable(text, "/text")
        if fault is not None:
            raise InputRejected("The workflow", [fault])
        found = await asyncio.to_thread(diagnosed, self._catalog(), text, f"{name}.yaml")
        if found:
            raise WorkflowInvalid(found)
        form = normalise(load(text, f"{name}.yaml"), CatalogNames(self._catalog()))
        if form.get("name") != name:
            raise InputRejected(
                "The workflow", [("/text", f"is of the workflow {form.get('name')!r}, not of {name!r}")]
            )
        await asyncio.to_thread(self._write, folder, name, text, expected)
        self._reload()
        _, definition = self._definitions.pin(self._catalog(), f"workflow:{name}")
        if definition is not None:
            await self._store.define(definition, DEFAULT_TENANT)
        return self.read(name)

    async def history(self, name: str) -> Sequence[WorkflowVersion]:
        """Newest first; first of all the current one, if no task has used it yet. NotFound for an unknown name."""
        current = self._current(name) if name in self._catalog().workflows else None
        kept = await self._store.definitions_of(f"workflow:{name}")
        if not kept and name not in self._catalog().workflows:
            raise self._unknown(name)
        found = [
            WorkflowVersion(
                hash=definition.hash, version=definition.version, since=since, is_current=definition.hash == current
            )
            for definition, since in kept
        ]
        if current is not None and not any(version.is_current for version in found):
            workflow = self._definitions.workflow(self._catalog(), name)
            found.insert(0, WorkflowVersion(hash=current, version=workflow.version, since=None, is_current=True))
        return found

    async def difference(self, name: str, before: str | None, after: str | None) -> str:
        """A unified diff of two versions' normal forms, named by the beginnings of their hashes; empty when equal.

        By default from the newest version before it to the current one.
        """
        known = await self.history(name)
        if not known:  # a file that never was valid
            return ""
        newer = self._chosen(known, after) if after is not None else _current_of(known)
        others = [version for version in known if version.hash != newer.hash]
        if before is None and not others:
            return ""
        older = self._chosen(known, before) if before is not None else others[0]
        was, now = [_normal_text(await self._definition(name, version.hash)) for version in (older, newer)]
        return "".join(difflib.unified_diff(was, now, f"{name}@{older.hash[:12]}", f"{name}@{newer.hash[:12]}"))

    async def _definition(self, name: str, hash: str) -> Definition:
        if hash == (self._current(name) if name in self._catalog().workflows else None):
            _, definition = self._definitions.pin(self._catalog(), f"workflow:{name}")
            assert definition is not None
            return definition
        return await self._store.definition(hash)

    @staticmethod
    def _chosen(known: Sequence[WorkflowVersion], prefix: str) -> WorkflowVersion:
        fitting = [version for version in known if version.hash.startswith(prefix)]
        if len(prefix) < _LEAST_PREFIX or len(fitting) != 1:
            listed = ", ".join(version.hash[:12] for version in known[:10])
            raise NotFound(f"{prefix!r} is not the beginning of one version's hash. Known are: {listed}.")
        return fitting[0]

    def _current(self, name: str) -> str | None:
        """The hash of what new tasks are worked on by; None while there is nothing valid."""
        try:
            _, definition = self._definitions.pin(self._catalog(), f"workflow:{name}")
        except (WorkflowInvalid, UnknownName):
            return None
        return definition.hash if definition is not None else None

    def _file(self, name: str) -> Path | None:
        workflows = self._catalog().workflows
        return Path(workflows.spec(name).file) if name in workflows else None

    def _is_ours(self, file: Path) -> bool:
        return self._folder is not None and file.resolve().is_relative_to((self._folder / "workflows").resolve())

    def _unknown(self, name: str) -> NotFound:
        known = ", ".join(self._catalog().workflows.names) or "none"
        return NotFound(f"There is no workflow {name[:200]!r}. Known workflows: {known}.")

    def _writable(self) -> Path:
        if self._folder is None:
            raise ConflictError("Workflows cannot be put here: this process has no project folder.")
        return self._folder / "workflows"

    def _write(self, folder: Path, name: str, text: str, expected: str | None) -> None:
        if not _NAME.fullmatch(name):
            raise InputRejected("The workflow", [("/name", "is not of the form a-z, 0-9 and _")])
        folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(folder):
            known = self._file(name)
            # One that is installed is replaced by a file that says so, and is not touched.
            file = known if known is not None and self._is_ours(known) else folder / f"{name}.yaml"
            found = _hash_of(file.read_bytes().decode(errors="replace")) if file.exists() else None
            if found != expected:
                raise _moved_on(name, found, expected)
            if known is not None and file != known and not _replaces(text):
                raise ConflictError(
                    f"Workflow {name!r} is installed, and stays as it is. A project's own one in its place says "
                    "`replaces: true`."
                )
            try:
                _replace(file, text)
            except OSError as error:
                raise ConflictError(
                    f"Workflow {name!r} cannot be written: {error.strerror}. Nothing has changed. Make room, or "
                    "allow this process to write there, and put it again."
                ) from None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Of all processes of this machine, one at a time looks at the folder and changes it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(file: Path, text: str) -> None:
    """Write the file so that whoever reads it sees all of it or what was there before."""
    descriptor, name = mkstemp(dir=file.parent, prefix=".", suffix=".tmp")
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            written.write(text)
            written.flush()
            os.fsync(descriptor)
        new.chmod(0o644)
        new.replace(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _moved_on(name: str, found: str | None, expected: str | None) -> VersionConflict:
    if found is None:
        return VersionConflict(f"Workflow {name!r} has no file here that could be replaced. Put it as a new one.")
    if expected is None:
        return VersionConflict(f"Workflow {name!r} is there: say which text is to be replaced. It is {found} now.")
    return VersionConflict(f"Workflow {name!r} has changed meanwhile: its text is {found} now. Read it again.")


def _replaces(text: str) -> bool:
    document = load(text, "workflow").value
    return isinstance(document, dict) and document.get("replaces") is True


def _hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _current_of(known: Sequence[WorkflowVersion]) -> WorkflowVersion:
    return next((version for version in known if version.is_current), known[0])


def _normal_text(definition: Definition) -> list[str]:
    said = {key: definition.document.get(key) for key in ("workflow", "agents") if definition.document.get(key)}
    return dump(said).splitlines(keepends=True)
