"""Links between the pages of the repository lead somewhere."""

import re
from pathlib import Path

import pytest

from .pages import DOCS, ROOT, pages

CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def links(page: Path) -> list[str]:
    return LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))


def broken_links(page: Path) -> list[str]:
    """The links of a page to files and headings that are not there."""
    found = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue  # on the web: not ours to check
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            found.append(link)
        elif fragment and target.suffix == ".md":
            headings = HEADING.findall(target.read_text(encoding="utf-8"))
            if fragment not in map(anchor, headings):
                found.append(link)
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_every_page_of_the_documentation_is_reached_from_its_index() -> None:
    reached: set[Path] = set()
    ahead = [DOCS / "index.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached and page.suffix == ".md" and page.is_file():
            reached.add(page)
            ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
    assert [page for page in pages() if page.is_relative_to(DOCS) and page not in reached] == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text(
        "# First: a `name`\n[ok](a.md) [ok](#first-a-name) [web](https://example.org/x) `[code](none.md)`\n"
        "[bad](none.md) [bad](a.md#second)\n",
        encoding="utf-8",
    )
    assert broken_links(page) == ["none.md", "a.md#second"]
