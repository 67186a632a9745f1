"""How documents become passages."""

from __future__ import annotations

import pytest
from agentplat_tool_document_search.passages import MAX_CHARS, passages


def only(name: str, text: str) -> tuple[str, str]:
    (found,) = passages(name, text)
    return found.source, found.text


def test_headings_nest_and_end_with_the_next_of_their_level() -> None:
    text = "# A\n\none\n\n## B\n\ntwo\n\n### C\n\nthree\n\n## D\n\nfour\n"
    assert [(passage.source, passage.text) for passage in passages("x.md", text)] == [
        ("x.md § A", "one"),
        ("x.md § A > B", "two"),
        ("x.md § A > B > C", "three"),
        ("x.md § A > D", "four"),
    ]


def test_underlined_headings_are_headings() -> None:
    assert only("x.md", "Title\n=====\n\nPart\n----\n\ntext\n") == ("x.md § Title > Part", "text")


def test_the_marks_of_markdown_disappear() -> None:
    source, text = only(
        "x.md",
        "See [the guide](https://example.org/a) and **bold** `code_name`, *soft*, ![a picture](p.png), a_b_c.\n"
        "<b>raw</b> <!-- unseen -->\n",
    )
    assert source == "x.md:1"
    assert text == "See the guide and bold code_name, soft, a picture, a_b_c. raw"


def test_lists_tables_and_code_keep_their_lines() -> None:
    table = "| name | size |\n|---|---|\n| a | 1 |\n| b | 2 |\n"
    text = f"- one\n- two\n  goes on\n\n{table}\n```python\nx = 1\n# no heading\n```\n"
    assert only("x.md", text)[1] == "- one\n- two goes on\n\nname: size\na: 1\nb: 2\n\n    x = 1\n    # no heading"


def test_front_matter_is_left_out_and_lines_still_count() -> None:
    assert only("x.md", "---\ntitle: T\n---\n\nfirst\n") == ("x.md:5", "first")


def test_a_rule_at_the_top_is_not_front_matter_without_an_end() -> None:
    assert only("x.md", "---\n\nfirst\n") == ("x.md:3", "first")


def test_roles_directives_and_overlines_of_restructured_text_disappear() -> None:
    text = "=====\nTitle\n=====\n\n.. note:: unseen\n\nSee :ref:`the guide <guide>` and ``code``, **bold**.\n"
    assert only("x.rst", text) == ("x.rst § Title", "See the guide and code, bold.")


def test_short_paragraphs_of_a_section_share_a_passage_and_long_ones_are_cut() -> None:
    assert len(passages("x.txt", "one\n\ntwo\n\nthree\n")) == 1
    sentence = "This sentence has exactly eight words in it. "
    parts = passages("x.txt", sentence * 200)
    assert all(len(part.text) <= MAX_CHARS for part in parts)
    assert " ".join(part.text for part in parts) == (sentence * 200).strip()
    assert all(part.text.endswith(".") for part in parts)


def test_one_endless_word_is_cut_too() -> None:
    parts = passages("x.txt", "a" * 5_000)
    assert "".join(part.text for part in parts) == "a" * 5_000


@pytest.mark.parametrize("name", ["x.md", "x.txt", "x.rst"])
@pytest.mark.parametrize(
    "text", ["", "\n\n", "===\n", "# \n", "---\n---\n", "|\n|-|\n", "- \n", "```\n", "\ufeff# A\n"]
)
def test_strange_documents_are_read_without_a_fault(name: str, text: str) -> None:
    assert all(passage.text for passage in passages(name, text))
