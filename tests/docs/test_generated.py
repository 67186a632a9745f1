"""What is written by a program is what the program says now. `make docs-write` renews it."""

import os
from pathlib import Path

import pytest

from .generated.regions import RENDERERS, difference, renewed, used_in
from .pages import ROOT, pages

WRITES = os.environ.get("AGENTPLAT_WRITE_DOCS") == "1"
GENERATED = [page for page in pages() if list(used_in(page))]


@pytest.fixture(autouse=True)
def nothing_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is rendered follows from the code, not from the variables of this machine."""
    for name in list(os.environ):
        if name.startswith(("AGENTPLAT_", "OLLAMA_", "OPENAI_", "OPENROUTER_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_generated_part_of_a_page_is_up_to_date(page: Path) -> None:
    if WRITES:
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
    assert difference(page) == "", "run `make docs-write`"


def test_everything_that_can_be_generated_is_on_a_page() -> None:
    assert {name for page in GENERATED for name in used_in(page)} == set(RENDERERS)


def test_a_stale_region_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("# A\n\n<!-- generated: task-states -->\nold\n<!-- /generated -->\nrest\n", encoding="utf-8")
    assert "-old" in difference(page)
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
    assert difference(page) == ""
    assert page.read_text(encoding="utf-8").endswith("<!-- /generated -->\nrest\n")
