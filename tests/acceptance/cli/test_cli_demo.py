"""`agentplat demo`: the main thing, without a key, over real documents."""

from __future__ import annotations

from pathlib import Path

from .processes import Folder

REPOSITORY = Path(__file__).parents[3]
DOCUMENTS = REPOSITORY / "workflows" / "tests" / "documents"
SPREAD = "bird migration, varroa mites in bee hives, and the tides of the moon"


def test_a_first_run_in_an_empty_folder_gives_a_result(folder: Folder) -> None:
    ended = folder.call("demo")
    assert ended.code == 0
    said = ended.out
    order = [
        "workflow ",
        "\ntopic ",
        "\ndocuments ",
        "\nmodel ",
        "\nFindings\n",
        "\nSources\n[1] ",
        "\nIterations: ",
        "\nCost\n",
    ]
    assert sorted(order, key=said.index) == order
    assert "documents  agentplat's own guides" in said
    assert "offline:extractive: generates nothing" in said
    assert "No text leaves this machine." in said
    assert "completed_converged\n1  quality " in said
    assert "iteration 1  conduct_research: succeeded after " in ended.err

    (command,) = [line for line in said.splitlines() if line.startswith("agentplat tasks show ")]
    shown = folder.call(*command.split()[1:5])
    assert shown.code == 0
    assert "task_finished" in shown.out


def test_documents_of_ones_own_are_searched_in_iterations_that_feedback_makes_differ(folder: Folder) -> None:
    ended = folder.call("demo", "--topic", SPREAD, "--documents", DOCUMENTS, "--json")
    about, *events, task = ended.lines
    assert (ended.code, ended.err) == (0, "")
    assert about == {
        "workflow": "research_assessment",
        "topic": SPREAD,
        "documents": str(DOCUMENTS),
        "model": "offline:extractive",
        "generates": False,
        "leaves_machine": False,
    }
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert task["output"]["status"] == "completed_converged"
    researched = [step for step in task["steps"] if step["path"].startswith("conduct_research")]
    assert [step["iteration"] for step in researched] == [1, 2]
    assert researched[0]["output"]["findings"] != researched[1]["output"]["findings"]
    assert "honey-bees.md" in str(researched[1]["output"]["sources"])
    assert list(folder.path.iterdir()) == [folder.path / ".agentplat"]


def test_what_the_documents_do_not_cover_ends_with_low_quality_and_says_so(folder: Folder) -> None:
    ended = folder.call("demo", "--topic", "General relativity and black holes", "--documents", DOCUMENTS)
    assert ended.code == 0
    assert "Iterations: 3 of at most 3, completed_max_iterations" in ended.out
    assert ended.out.count("not approved") == 3


def test_a_relative_folder_is_meant_from_here_and_a_projects_own_is_the_default(folder: Folder) -> None:
    (folder.path / "notes").mkdir()
    (folder.path / "notes" / "tea.md").write_text("# Tea\n\nGreen tea is brewed at 80 degrees for two minutes.\n")
    ended = folder.call("demo", "--topic", "How is green tea brewed?", "--documents", "notes")
    assert "80 degrees" in ended.out
    assert "[1] tea.md" in ended.out
    (folder.path / "notes").rename(folder.path / "documents")
    ended = folder.call("demo", "--topic", "How is green tea brewed?")
    assert f"documents  {folder.path / 'documents'}\n" in ended.out
    assert "80 degrees" in ended.out


def test_a_folder_that_is_not_there_is_a_wrong_use(folder: Folder) -> None:
    ended = folder.call("demo", "--documents", "nowhere")
    assert (ended.code, ended.out) == (2, "")
    assert "--documents does not fit: / names 'nowhere', which is not a folder." in ended.err


def test_without_the_stock_workflows_it_says_what_to_install(folder: Folder) -> None:
    ended = folder.call("demo", AGENTPLAT_PLUGINS_DENY="workflows")
    assert ended.code == 2
    assert "Install agentplat-workflows." in ended.err
