"""The tool `document_search`."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from importlib.resources import files
from pathlib import Path

from agentplat import Effect, FailureCode, StepError, Tool, ToolContext
from agentplat_tool_document_search.index import Answer, FolderIndex
from agentplat_tool_document_search.schema import Found, Input, Output
from agentplat_tool_document_search.words import words

SHIPPED = "agentplat's own guides (shipped with document_search)"
MAX_INDEXES = 8


class DocumentSearch(Tool[Input, Output]):
    """Finds the passages of a folder that answer a query best, by ranked full text.

    The folder is the configured one, else `documents/` of the project if there is a document in it, else the guides
    that come with this package. An index is kept per folder and renewed when a file changes.
    """

    name = "document_search"
    effect = Effect.READS

    def __init__(self) -> None:
        self._indexes: dict[Path, FolderIndex] = {}
        self._turn = threading.Lock()

    async def execute(self, input: Input, ctx: ToolContext) -> Output:
        """The passages, best first."""
        looked_for = words(input.query)
        folder, answer = await asyncio.to_thread(self._answer, looked_for, input.limit, ctx)
        results = [
            Found(
                source=hit.passage.source,
                text=hit.passage.text,
                score=round(hit.score, 4),
                matched=list(hit.matched),
            )
            for hit in answer.hits
        ]
        return Output(
            results=results,
            words=looked_for,
            folder=folder,
            documents=answer.documents,
            skipped=answer.skipped,
        )

    def _answer(self, looked_for: list[str], limit: int, ctx: ToolContext) -> tuple[str, Answer]:
        project = Path(ctx.project) if ctx.project else None
        usual = project / "documents" if project else None
        named = next((found for found in _named(ctx) if found is not None), None)
        if named is not None and named != str(usual):
            return str(named), self._search(_folder(named, project), looked_for, limit)
        if usual is not None and usual.is_dir():
            answer = self._search(usual, looked_for, limit)
            if answer.documents:
                return "documents", answer
        guides = files("agentplat_tool_document_search") / "guides"
        return SHIPPED, self._search(Path(str(guides)), looked_for, limit)

    def _search(self, root: Path, looked_for: list[str], limit: int) -> Answer:
        root = root.resolve()
        with self._turn:
            index = self._indexes.pop(root, None) or FolderIndex(root)
            self._indexes[root] = index  # last used, last dropped
            while len(self._indexes) > MAX_INDEXES:
                self._indexes.pop(next(iter(self._indexes)))
        try:
            return index.search(looked_for, limit)
        except sqlite3.OperationalError as error:
            raise StepError(
                FailureCode.TOOL_FAILED, f"SQLite refused the search: {error}. Full-text search needs FTS5."
            ) from error


def _named(ctx: ToolContext) -> tuple[object, ...]:
    """What the tool's entry, its settings, and the setting `documents` of the project say, in this order."""
    return ctx.config.get("folder"), ctx.settings.get("folder"), ctx.settings.get("documents")


def _folder(named: object, project: Path | None) -> Path:
    if not isinstance(named, str):
        raise StepError(
            FailureCode.INVALID_INPUT, f"The setting `folder` of document_search is {named!r}; it has to be a text."
        )
    folder = (project or Path()) / Path(named).expanduser()
    if not folder.is_dir():
        raise StepError(
            FailureCode.INVALID_INPUT,
            f"document_search is set to the folder {named!r}, which does not exist. "
            "Set `documents`, or `folder` under [tools.document_search], in agentplat.toml.",
        )
    return folder
