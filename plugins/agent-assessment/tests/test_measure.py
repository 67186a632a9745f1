"""What is measured: the aspects of a topic, the words that sentences cover, the support of sources."""

from __future__ import annotations

import pytest
from agentplat_agent_assessment.measure import Measure, measure
from agentplat_agent_assessment.schema import Evidence
from agentplat_agent_assessment.topic import NAME_WORTH, aspects

BEES = Evidence(
    source="bees.md § Honey bees > Dance",
    text="A forager dances on the comb. The angle of the dance shows the direction of 3 flowers.",
)
BREAD = Evidence(source="bread.txt:4", text="A starter of wild yeast makes the dough rise.")


def measured(findings: str, topic: str, *evidence: Evidence) -> Measure:
    return measure(findings, topic, evidence)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("leases and fencing, journal", ["leases", "fencing", "journal"]),
        ("How does a worker recover after a crash?", ["worker recover crash"]),
        ("bees (honey) versus wasps; 12 tasks", ["bees", "honey", "wasps", "12 tasks"]),
        ("agent-research", ["agent research"]),
        ("What is it?", []),
        ("", []),
        ("how does it work", ["work"]),
    ],
)
def test_a_topic_has_the_aspects_that_commas_and_conjunctions_divide(topic: str, expected: list[str]) -> None:
    assert [" ".join(word.spelling.casefold() for word in aspect.words) for aspect in aspects(topic)] == expected


@pytest.mark.parametrize(
    ("topic", "names"),
    [
        ("tidal power in Norway", {"Norway"}),
        ("Tidal power in norway", set()),
        ("Tidal Power In Norway", set()),
        ("events of 1966", {"1966"}),
        ("Kubernetes", set()),
        ("the API of agents", {"API"}),
    ],
)
def test_names_and_numbers_are_worth_more_unless_all_is_in_capitals(topic: str, names: set[str]) -> None:
    (aspect,) = aspects(topic)
    assert {word.spelling for word in aspect.words if aspect.worth[word.stem] == NAME_WORTH} == names


def test_findings_from_the_sources_cover_and_are_grounded() -> None:
    found = measured("A forager dances on the comb [1].", "dancing foragers", BEES, BREAD)
    assert (found.coverage, found.grounding, found.missing) == (1.0, 1.0, ())
    assert found.covered == ("dancing foragers",)


def test_the_heading_of_the_source_counts_for_its_sentences() -> None:
    assert measured("The angle shows the direction [1].", "dance angle of honey bees", BEES).coverage == 1.0


def test_what_is_missing_is_named_by_the_stretch_of_the_topic() -> None:
    found = measured("A forager dances on the comb [1].", "forager dance, price of wax in Norway", BEES)
    assert found.missing == ("price of wax in Norway",)
    assert found.coverage == pytest.approx(2 / 6)


def test_a_common_word_alone_covers_nothing() -> None:
    assert (
        measured("The angle of the dance shows the direction [1].", "direction of monetary policy", BEES).coverage == 0
    )


def test_a_sentence_without_support_covers_nothing() -> None:
    found = measured("Penguins breed on the ice of Antarctica.", "penguins breeding on ice", BEES)
    assert (found.coverage, found.grounding) == (0.0, 0.0)
    assert found.unsupported == ("Penguins breed on the ice of Antarctica.",)


def test_a_number_that_no_source_has_is_not_supported() -> None:
    assert measured("The dance shows the direction of 3 flowers [1].", "dance", BEES).grounding == 1.0
    assert measured("The dance shows the direction of 4 flowers [1].", "dance", BEES).grounding == 0.0


def test_a_sentence_that_admits_a_gap_needs_no_support_and_covers_nothing() -> None:
    findings = "A forager dances on the comb [1].\n\nThe given passages do not mention: penguins."
    found = measured(findings, "forager dance and penguins", BEES)
    assert (found.grounding, found.missing) == (1.0, ("penguins",))


def test_findings_that_say_nothing_are_not_grounded() -> None:
    found = measured("The given passages do not cover this: penguins.", "penguins", BEES)
    assert (found.coverage, found.grounding) == (0.0, 0.0)


def test_a_false_citation_does_not_hide_the_true_source() -> None:
    assert measured("A starter makes the dough rise [1].", "dough rising", BEES, BREAD).grounding == 1.0


def test_without_sources_coverage_is_measured_and_grounding_is_unknown() -> None:
    found = measure("A forager dances on the comb.", "forager dance", None)
    assert (found.coverage, found.grounding) == (1.0, None)


def test_without_a_topic_the_main_words_of_the_sources_are_the_topic() -> None:
    found = measured("The angle of the dance shows the direction of 3 flowers.", "", BEES)
    assert found.coverage is not None
    assert found.coverage > 0


def test_without_topic_and_sources_there_is_nothing_to_measure() -> None:
    found = measure("Anything.", "", None)
    assert (found.coverage, found.grounding) == (None, None)


@pytest.mark.parametrize(
    "strange", ["", "???", "[1][2]", "\n\n", "a" * 10_000, "\U0001f41d" * 100, "( ( (", "1. 2. 3."]
)
def test_no_text_is_too_strange(strange: str) -> None:
    for topic in (strange, "bees"):
        for evidence in (None, [], [Evidence(source=strange, text=strange)]):
            found = measure(strange, topic, evidence)
            assert found.coverage is None or 0 <= found.coverage <= 1
