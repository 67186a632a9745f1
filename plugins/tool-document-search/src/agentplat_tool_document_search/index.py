"""A full-text index over the passages of one folder, kept in memory and renewed when the files change."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from agentplat_tool_document_search.folder import Document, Listing, listing, text_of
from agentplat_tool_document_search.passages import Passage, passages
from agentplat_tool_document_search.words import stem, stemmed

MAX_PASSAGES = 100_000
CANDIDATES = 200
NEAR = 8  # words that may stand between two neighbours of the query
WEIGHTS = (0.5, 2.0, 1.0)  # of the document's title and outer headings, of the heading, of the text


@dataclass(frozen=True, slots=True)
class Hit:
    passage: Passage
    score: float
    matched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    hits: tuple[Hit, ...]
    documents: int
    skipped: int


class FolderIndex:
    """Answers queries about one folder. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._turn = threading.Lock()  # one thread at a time builds or reads
        self._seen: Listing | None = None
        self._read: dict[Document, tuple[Passage, ...] | None] = {}
        self._passages: list[Passage] = []
        self._database: sqlite3.Connection | None = None
        self._close: weakref.finalize[[], FolderIndex] | None = None

    def search(self, words: Sequence[str], limit: int) -> Answer:
        """The best passages for `words`.

        Ranked by BM25, times the share of the words and of the neighbouring pairs of words that a passage contains.
        """
        with self._turn:
            database = self._current()
            unread = sum(1 for known in self._read.values() if known is None)
            documents = len(self._read) - unread
            skipped = (self._seen.skipped if self._seen else 0) + unread
            return Answer(self._hits(database, words, limit), documents, skipped)

    def _current(self) -> sqlite3.Connection:
        """The index of the folder as it is now. Only files that changed are read again."""
        seen = listing(self._root)
        if self._database is not None and seen == self._seen:
            return self._database
        read: dict[Document, tuple[Passage, ...] | None] = {}
        for document in seen.documents:
            read[document] = self._read[document] if document in self._read else _passages_of(document)
        kept = [passage for found in read.values() for passage in found or ()][:MAX_PASSAGES]
        database = _indexed(kept)
        if self._close is not None:
            self._close()
        self._close = weakref.finalize(self, database.close)  # also when the index itself is dropped
        self._seen, self._read, self._passages, self._database = seen, read, kept, database
        return database

    def _hits(self, database: sqlite3.Connection, words: Sequence[str], limit: int) -> tuple[Hit, ...]:
        # Each word is a quoted string, so nothing in a query is ever read as an operator.
        terms = [f'"{stem(word)}"' for word in words]
        if not terms:
            return ()
        with closing(database.cursor()) as cursor:
            holding = [_rows(cursor, term) for term in terms]
            close = [_rows(cursor, f"NEAR({one} {two}, {NEAR})") for one, two in pairwise(terms)]
            ranked = cursor.execute(
                "SELECT rowid, -bm25(found, ?, ?, ?) FROM found WHERE found MATCH ? ORDER BY 2 DESC, rowid LIMIT ?",
                (*WEIGHTS, " OR ".join(terms), CANDIDATES),
            ).fetchall()
        hits = []
        for row, relevance in ranked:
            matched = tuple(word for word, rows in zip(words, holding, strict=True) if row in rows)
            together = len(matched) + sum(1 for rows in close if row in rows)
            hits.append((relevance * together / (len(terms) + len(close)), row, matched))
        hits.sort(key=lambda hit: (-hit[0], hit[1]))
        return self._distinct(hits, limit)

    def _distinct(self, hits: Sequence[tuple[float, int, tuple[str, ...]]], limit: int) -> tuple[Hit, ...]:
        """The first `limit` hits; of passages with the same text, only the first."""
        chosen: dict[str, Hit] = {}
        for score, row, matched in hits:
            passage = self._passages[row]
            if len(chosen) < limit and passage.text not in chosen:
                chosen[passage.text] = Hit(passage, score, matched)
        return tuple(chosen.values())


def _rows(cursor: sqlite3.Cursor, expression: str) -> set[int]:
    return {row for (row,) in cursor.execute("SELECT rowid FROM found WHERE found MATCH ?", (expression,))}


def _passages_of(document: Document) -> tuple[Passage, ...] | None:
    text = text_of(document)
    return None if text is None else tuple(passages(document.name, text))


def _indexed(kept: Sequence[Passage]) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute(
        "CREATE VIRTUAL TABLE found USING fts5"
        "(title, heading, text, content='', tokenize='unicode61 remove_diacritics 2')"
    )
    database.executemany(
        "INSERT INTO found (rowid, title, heading, text) VALUES (?, ?, ?, ?)",
        (
            (row, stemmed(passage.title), stemmed(passage.heading), stemmed(passage.text))
            for row, passage in enumerate(kept)
        ),
    )
    return database
