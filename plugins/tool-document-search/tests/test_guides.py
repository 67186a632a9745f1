"""The guides that ship with the tool: people read them, and the first run of all searches them."""

from __future__ import annotations

from pathlib import Path

import agentplat_tool_document_search
from agentplat_tool_document_search.passages import passages

GUIDES = sorted((Path(agentplat_tool_document_search.__file__).parent / "guides").glob("*.md"))


def test_every_guide_has_a_title_that_says_agentplat_and_sections_with_text() -> None:
    assert len(GUIDES) == 8
    for guide in GUIDES:
        text = guide.read_text(encoding="utf-8")
        assert text.startswith("# agentplat: "), guide.name
        assert text.count("\n## ") >= 4, guide.name
        assert all(passage.heading and len(passage.text) > 40 for passage in passages(guide.name, text)), guide.name
