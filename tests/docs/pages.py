"""The pages of the documentation, and the parts of a page that a program can read."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^(```+)(\w+)([^\n]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')


def pages() -> list[Path]:
    """Every page that the repository holds, or is about to: templates of other people's files left out."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return sorted(ROOT / name for name in listed.split("\0") if name and "{{" not in name and (ROOT / name).exists())


@dataclass(frozen=True)
class Block:
    """A fenced block of code: `title` is the name of a file, or of a terminal."""

    language: str
    title: str
    text: str
    place: str  # page:line


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        title = _TITLE.search(found[3])
        line = text.count("\n", 0, found.start()) + 1
        yield Block(found[2], title[1] if title else "", found[4], f"{page.name}:{line}")
