"""The documents of a folder: which files count, and their text. Never follows a link out of the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset({".md", ".markdown", ".txt", ".rst"})
NOT_DOCUMENTS = frozenset({"node_modules", "__pycache__", "site-packages", "venv"})
MAX_FILE_BYTES = 1_000_000
MAX_TOTAL_BYTES = 20_000_000
MAX_FILES = 5_000
MAX_ENTRIES = 100_000


@dataclass(frozen=True, slots=True)
class Document:
    """A file as it was when it was seen; equal values mean that it need not be read again."""

    name: str  # relative to the folder, with forward slashes
    path: str  # where the text really is, links resolved
    changed: int  # nanoseconds
    size: int


@dataclass(frozen=True, slots=True)
class Listing:
    documents: tuple[Document, ...]
    skipped: int


def listing(root: Path) -> Listing:
    """The documents below `root`, in the order of their names, within the limits."""
    top = os.path.realpath(root)
    found: list[Document] = []
    skipped = 0
    for path in _candidates(top):
        document = _document(top, path)
        if document is None:
            skipped += 1
        else:
            found.append(document)
    found.sort(key=lambda document: document.name)
    kept: list[Document] = []
    total = 0
    for document in found:
        if len(kept) == MAX_FILES or total + document.size > MAX_TOTAL_BYTES:
            break
        kept.append(document)
        total += document.size
    return Listing(tuple(kept), skipped + len(found) - len(kept))


def _candidates(top: str) -> Iterator[str]:
    entries = 0
    for folder, names, files in os.walk(top, followlinks=False):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in NOT_DOCUMENTS)
        for file in sorted(files):
            entries += 1
            if entries > MAX_ENTRIES:
                return
            if not file.startswith(".") and Path(file).suffix.lower() in SUFFIXES:
                yield os.path.join(folder, file)  # noqa: PTH118 - text, so that undecodable names survive


def _document(top: str, path: str) -> Document | None:
    real = os.path.realpath(path)
    if os.path.commonpath([top, real]) != top:
        return None
    try:
        status = os.stat(real, follow_symlinks=False)  # noqa: PTH116 - as above
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
        return None
    name = os.path.relpath(path, top).replace(os.sep, "/")
    return Document(_storable(name), real, status.st_mtime_ns, status.st_size)


def text_of(document: Document) -> str | None:
    """The file's text; None when it is not text or has gone."""
    try:
        # Without blocking: the file may have been replaced by a pipe since it was listed.
        descriptor = os.open(document.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError:
        return None
    if b"\x00" in content or len(content) > MAX_FILE_BYTES:
        return None
    return content.decode("utf-8-sig", errors="replace")


def _storable(name: str) -> str:
    """The name without the half surrogates that stand for undecodable bytes."""
    return name.encode("utf-8", errors="replace").decode("utf-8")
