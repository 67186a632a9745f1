"""The commands and files of the pages do what the pages say: see `terminal.py`."""

import dataclasses
from pathlib import Path

import pytest
from agentplat_testkit.databases import PostgresDatabases

from .pages import DOCS, ROOT, blocks, pages
from .terminal import Desk, Surprise, commands, compared

pytestmark = pytest.mark.timeout(900)  # whole processes, many of them, on a machine that may be busy
TUTORIAL = sorted((DOCS / "tutorial").glob("[0-9]*.md"))
WITH_POSTGRES = DOCS / "how-to" / "run-on-postgresql.md"
EXECUTED = [
    page
    for page in [ROOT / "README.md", *pages()]
    if (page.is_relative_to(DOCS) or page.parent == ROOT)
    and page not in (*TUTORIAL, WITH_POSTGRES)
    and any(block.language == "console" for block in blocks(page))
]


def test_the_tutorial_does_what_it_says(desk: Desk) -> None:
    # A dead worker is noticed when its lease ends; that long nobody wants to wait here.
    lease = {"AGENTPLAT_WORKER__LEASE_SECONDS": "8", "AGENTPLAT_WORKER__RENEW_SECONDS": "2"}
    reader = dataclasses.replace(desk, variables={**desk.variables, **lease})
    reader.follow(block for page in TUTORIAL for block in blocks(page))


@pytest.mark.parametrize("page", sorted(set(EXECUTED)), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(desk: Desk, page: Path) -> None:
    desk.follow(blocks(page))


def test_the_page_about_postgresql_does_what_it_says(desk: Desk, postgres_databases: PostgresDatabases) -> None:
    written = "postgresql://agentplat:secret@localhost/agentplat"
    with postgres_databases.fresh(None) as address:
        real = address.replace("postgresql+psycopg:", "postgresql:")
        dataclasses.replace(desk, replaced={**desk.replaced, written: real}).follow(blocks(WITH_POSTGRES))


def test_a_strategy_of_ones_own_takes_less_than_forty_lines() -> None:
    page = DOCS / "how-to" / "write-a-strategy.md"
    package = [block for block in blocks(page) if block.title.startswith("two-sides/") and "test" not in block.title]
    lines = [line for block in package for line in block.text.splitlines()]
    assert 20 < sum(1 for line in lines if line.strip()) < 40


def test_what_is_printed_is_compared_loosely_and_compared() -> None:
    real, written = "01a2091e-4433-732a-827b-14cc18e422ad", "00000000-0000-0000-0000-000000000000"
    printed = f"done  agent:x {real}\nat 12:30:01,\n  2026-11-23\n"
    assert compared(f"done agent:x {written}\n...", printed) == {written: real}
    assert compared("done ... at 09:00:00, 2025-01-01", printed) == {}
    assert compared("done agent:x", printed) is None
    assert compared("error ...", printed) is None


def test_a_command_may_go_on_over_several_lines() -> None:
    assert list(commands("$ a \\\n  b\none\n$ c\n")) == [("a \\\n  b", "one"), ("c", "")]


@pytest.mark.parametrize(
    "text", ["$ echo yes\nno\n", "$ false\n", "$ exit 3\n"], ids=["other output", "another end", "no shell"]
)
def test_a_page_that_is_wrong_is_seen(desk: Desk, tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```console\n{text}```\n", encoding="utf-8")
    with pytest.raises(Surprise):
        desk.follow(blocks(page))
