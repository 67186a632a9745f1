"""Where sentences end, and which read well alone."""

from __future__ import annotations

import pytest
from agentplat_llm_offline.sentences import leans, readable, sentences
from agentplat_llm_offline.words import stem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It costs 3.5 euros, e.g. Monday to Friday. Next.", ["It costs 3.5 euros, e.g. Monday to Friday.", "Next."]),
        ("Dr. Smith met J. Doe. They talked.", ["Dr. Smith met J. Doe.", "They talked."]),
        ('She said "Go." Then she left.', ['She said "Go."', "Then she left."]),
        ("A line\nthat goes on. New.", ["A line that goes on.", "New."]),
        ("- first item\n- second item\n\nText.", ["first item", "second item", "Text."]),
        ("Text:\n\n    code = 1\n    more\n\nEnd.", ["Text:", "    code = 1", "    more", "End."]),
        ("一つ目です。二つ目です。", ["一つ目です。", "二つ目です。"]),
        ("", []),
    ],
)
def test_a_text_is_divided_where_a_reader_would(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("sentence", "reads"),
    [
        ("A worker claims a task.", True),
        ("See below.", False),
        ("The following keys exist in it:", False),
        ("    a line of code that reads well", False),
        ("x = {a: [1, 2], b: {c}} ; y = <z>", False),
        ("word " * 200, False),
    ],
)
def test_a_sentence_must_say_something_on_its_own(sentence: str, reads: bool) -> None:
    assert readable(sentence) is reads


def test_a_sentence_that_points_back_leans_on_the_one_before_it() -> None:
    assert leans("It is fed daily.")
    assert not leans("Bees live in hives.")


def test_forms_of_a_word_have_one_stem() -> None:
    for forms in (
        ("recover", "recovery", "recovers"),
        ("strategy", "strategic"),
        ("lease", "leases"),
        ("crash", "crashed"),
    ):
        assert len({stem(form) for form in forms}) == 1, forms
    assert stem("worker") != stem("work")
