"""The tool as a worker runs it: over real folders, through the engine's own context."""

from __future__ import annotations

import asyncio
import os
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agentplat_testkit import StepHarness
from agentplat_tool_document_search.folder import MAX_FILE_BYTES
from agentplat_tool_document_search.tool import SHIPPED, DocumentSearch

from agentplat import StepError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    (root / "sub").mkdir(parents=True)
    (root / "bees.md").write_text(
        "# Bees\n\n## Dance\n\nA forager dances on the comb to tell where the flowers are.\n\n"
        "## Winter\n\nThe colony forms a cluster in winter and keeps its queen warm.\n",
        encoding="utf-8",
    )
    (root / "sub" / "bread.txt").write_text(
        "Bread\n\nA starter is fed with flour and water.\n\nThe loaf is baked with steam in a closed pot.\n",
        encoding="utf-8",
    )
    (root / "bikes.rst").write_text(
        "Bicycles\n========\n\nChain\n-----\n\nA worn chain damages the sprockets.\n", encoding="utf-8"
    )
    return root


@pytest.fixture
def tool() -> DocumentSearch:
    return DocumentSearch()


async def search(tool: DocumentSearch, folder: Path | None, query: str, **more: Any) -> dict[str, Any]:
    settings = {"folder": str(folder)} if folder else {}
    harness = StepHarness(tools=[tool], settings=settings)
    found: dict[str, Any] = await harness.run_tool("document_search", {"query": query, **more})
    return found


async def test_the_passage_that_answers_comes_first_with_its_heading(tool: DocumentSearch, folder: Path) -> None:
    found = await search(tool, folder, "Where are the flowers?")
    assert found["results"][0]["source"] == "bees.md § Bees > Dance"
    assert found["results"][0]["text"].startswith("A forager dances")
    assert found["results"][0]["matched"] == ["flowers"]
    assert found["documents"] == 3


async def test_a_document_without_headings_is_cited_by_line(tool: DocumentSearch, folder: Path) -> None:
    found = await search(tool, folder, "closed pot steam")
    assert found["results"][0]["source"] == "sub/bread.txt:1"


async def test_a_restructured_text_has_headings_too(tool: DocumentSearch, folder: Path) -> None:
    found = await search(tool, folder, "worn chains")
    assert found["results"][0]["source"] == "bikes.rst § Bicycles > Chain"


async def test_forms_of_a_word_find_each_other(tool: DocumentSearch, folder: Path) -> None:
    found = await search(tool, folder, "colonies forming clusters")
    assert found["results"][0]["matched"] == ["colonies", "forming", "clusters"]


async def test_the_limit_is_kept_and_scores_fall(tool: DocumentSearch) -> None:
    found = await search(tool, None, "worker task lease journal", limit=4)
    scores = [result["score"] for result in found["results"]]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)


async def test_words_that_stand_together_beat_words_that_stand_apart(tool: DocumentSearch, tmp_path: Path) -> None:
    filler = "Nothing else is written in this long line about other matters of no interest at all. " * 3
    (tmp_path / "apart.md").write_text(f"The fencing is old. {filler} The token is new.", encoding="utf-8")
    (tmp_path / "together.md").write_text(f"{filler} A fencing token protects. {filler}", encoding="utf-8")
    found = await search(tool, tmp_path, "fencing token")
    assert found["results"][0]["source"] == "together.md:1"


@pytest.mark.parametrize(
    "query",
    [
        '"',
        '" OR 1',
        "foo AND",
        "NEAR(",
        "text:flowers",
        "flowers*",
        "a-b -c ^d",
        "NOT NOT",
        "();--",
        "'; DROP TABLE found",
        "{x}",
        "flowers\ttab\nline",
        "\u200b\u0301\ufeff",
        "\U0001f41d",
    ],
)
async def test_no_query_is_ever_a_syntax_error(tool: DocumentSearch, folder: Path, query: str) -> None:
    found = await search(tool, folder, query)
    assert isinstance(found["results"], list)


async def test_no_mixture_of_characters_is_a_syntax_error(tool: DocumentSearch, folder: Path) -> None:
    chance = random.Random(7)
    letters = [chr(code) for code in range(1, 0x3000) if unicodedata.category(chr(code)) != "Cs"]
    for _ in range(300):
        query = "".join(chance.choice(letters) + chance.choice(' "()*^-:') for _ in range(12))
        found = await search(tool, folder, query)
        assert isinstance(found["results"], list)


@pytest.mark.parametrize("query", ["", "   ", "?!", "..."])
async def test_a_query_without_words_finds_nothing(tool: DocumentSearch, folder: Path, query: str) -> None:
    found = await search(tool, folder, query)
    assert found["results"] == []
    assert found["words"] == []
    assert found["documents"] == 3


async def test_a_query_of_common_words_only_still_looks_for_them(tool: DocumentSearch, folder: Path) -> None:
    found = await search(tool, folder, "where is it")
    assert found["words"] == ["where", "is", "it"]


async def test_words_with_accents_are_found_without_them(tool: DocumentSearch, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Le résumé du café est prêt.\n\nЧай горячий.", encoding="utf-8")
    assert (await search(tool, tmp_path, "resume cafe"))["results"]
    assert (await search(tool, tmp_path, "Горячий"))["results"]


async def test_a_changed_a_new_and_a_removed_file_are_noticed(tool: DocumentSearch, folder: Path) -> None:
    assert not (await search(tool, folder, "penguins"))["results"]
    (folder / "new.md").write_text("Penguins breed on the ice.", encoding="utf-8")
    assert (await search(tool, folder, "penguins"))["results"][0]["source"] == "new.md:1"
    (folder / "new.md").write_text("Puffins breed on cliffs, not on the ice.", encoding="utf-8")
    assert not (await search(tool, folder, "penguins"))["results"]
    assert (await search(tool, folder, "puffins"))["results"]
    (folder / "new.md").unlink()
    assert not (await search(tool, folder, "puffins"))["results"]


async def test_a_link_that_leaves_the_folder_is_not_followed(
    tool: DocumentSearch, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.md").write_text("The penguin password is hunter2.", encoding="utf-8")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "more.md").write_text("Another penguin.", encoding="utf-8")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / "linked").symlink_to(tmp_path / "outside", target_is_directory=True)
    (folder / "inside.md").symlink_to(folder / "bees.md")
    found = await search(tool, folder, "penguin")
    assert found["results"] == []
    assert found["documents"] == 4  # the link that stays inside counts
    assert found["skipped"] == 1


async def test_what_is_hidden_binary_or_too_large_is_left_out(tool: DocumentSearch, folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "note.md").write_text("penguin", encoding="utf-8")
    (folder / ".hidden.md").write_text("penguin", encoding="utf-8")
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "readme.md").write_text("penguin", encoding="utf-8")
    (folder / "binary.txt").write_bytes(b"penguin\x00penguin")
    (folder / "large.txt").write_text("penguin " * (MAX_FILE_BYTES // 7), encoding="utf-8")
    (folder / "picture.png").write_bytes(b"penguin")
    found = await search(tool, folder, "penguin")
    assert found["results"] == []
    assert found["documents"] == 3
    assert found["skipped"] == 2


async def test_a_pipe_in_the_folder_does_not_block_the_search(tool: DocumentSearch, folder: Path) -> None:
    os.mkfifo(folder / "pipe.md")
    found = await search(tool, folder, "flowers")
    assert found["results"]
    assert found["skipped"] == 1


async def test_a_file_name_that_is_no_text_can_still_be_cited(tool: DocumentSearch, folder: Path) -> None:
    (folder / os.fsdecode(b"bad\xff.md")).write_text("Penguins swim.", encoding="utf-8")
    found = await search(tool, folder, "penguins")
    assert found["results"][0]["source"] == "bad?.md:1"


async def test_without_a_folder_the_shipped_guides_are_searched(tool: DocumentSearch) -> None:
    found = await search(tool, None, "fencing token")
    assert found["folder"] == SHIPPED
    assert found["documents"] == 8
    assert found["results"][0]["source"].startswith("leases-and-fencing.md")


async def test_documents_of_the_project_come_before_the_guides(tool: DocumentSearch, folder: Path) -> None:
    harness = StepHarness(tools=[tool], project=str(folder.parent))
    found = await harness.run_tool("document_search", {"query": "flowers"})
    assert found["folder"] == "documents"
    assert found["results"][0]["source"].startswith("bees.md")


async def test_an_empty_documents_folder_does_not_hide_the_guides(tool: DocumentSearch, tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    harness = StepHarness(tools=[tool], project=str(tmp_path))
    found = await harness.run_tool("document_search", {"query": "fencing"})
    assert found["folder"] == SHIPPED


async def test_a_configured_folder_is_relative_to_the_project_and_beats_its_settings(
    tool: DocumentSearch, folder: Path
) -> None:
    harness = StepHarness(
        tools=[tool], project=str(folder.parent), config={"folder": "documents/sub"}, settings={"folder": "elsewhere"}
    )
    found = await harness.run_tool("document_search", {"query": "starter"})
    assert found["folder"] == "documents/sub"
    assert found["documents"] == 1


async def test_the_documents_setting_of_the_project_names_the_folder_too(tool: DocumentSearch, folder: Path) -> None:
    harness = StepHarness(tools=[tool], project=str(folder.parent), settings={"documents": str(folder / "sub")})
    found = await harness.run_tool("document_search", {"query": "starter"})
    assert (found["folder"], found["documents"]) == (str(folder / "sub"), 1)


@pytest.mark.parametrize("named", ["/does/not/exist", 7])
async def test_a_folder_that_cannot_be_is_named_in_the_error(tool: DocumentSearch, named: str | int) -> None:
    harness = StepHarness(tools=[tool], settings={"folder": named})
    with pytest.raises(StepError, match="folder") as failed:
        await harness.run_tool("document_search", {"query": "x"})
    assert failed.value.failure.code == "invalid_input"
    assert not failed.value.failure.retryable


async def test_many_searches_at_once_agree(tool: DocumentSearch, folder: Path) -> None:
    found = await asyncio.gather(*(search(tool, folder, "winter queen") for _ in range(12)))
    assert all(one == found[0] for one in found)


@pytest.fixture
def unreadable(folder: Path) -> Iterator[Path]:
    file = folder / "unreadable.md"
    file.write_text("penguin", encoding="utf-8")
    file.chmod(0)
    yield file
    file.chmod(0o600)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
async def test_a_file_that_may_not_be_read_is_skipped(tool: DocumentSearch, folder: Path, unreadable: Path) -> None:
    assert (await search(tool, folder, "penguin"))["skipped"] == 1
