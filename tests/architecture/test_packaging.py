import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Plant
from .gates import packaging
from .gates.tree import REPOSITORY, demand_none, distributions


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The configuration and the outermost files of every distribution of this repository."""
    kept = ["pyproject.toml", "README.md", "src/*/__init__.py", "src/*/py.typed"]
    for folder in [Path(), *distributions(REPOSITORY)]:
        for pattern in kept:
            for source in (REPOSITORY / folder).glob(pattern):
                target = tmp_path / source.relative_to(REPOSITORY)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_every_name_of_a_distribution_follows_from_its_folder() -> None:
    demand_none(packaging.misnamed(REPOSITORY))


def test_every_distribution_is_in_every_list() -> None:
    demand_none(packaging.unlisted(REPOSITORY))


def test_nothing_in_the_repository_names_a_registry_or_a_machine() -> None:
    demand_none(packaging.leaked_places(REPOSITORY, packaging.tracked_files(REPOSITORY)))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('name = "agentplat-tool-calculator"', 'name = "agentplat-calculator"', "is not called"),
        ('version = "0.1.0"', 'version = "0.2.0"', "another version"),
        ('requires-python = ">=3.11"', 'requires-python = ">=3.12"', "another requires-python"),
        ('["src/agentplat_tool_calculator"]', '["src/calculator"]', "does not build"),
        ("agentplat_tool_calculator.plugin", "agentplat_tool_calculator.main", "entry point"),
    ],
)
def test_a_misnamed_distribution_is_seen(checkout: Path, old: str, new: str, fault: str) -> None:
    assert packaging.misnamed(checkout) == []
    edit(checkout / "plugins/tool-calculator/pyproject.toml", old, new)
    (found,) = packaging.misnamed(checkout)
    assert fault in found


@pytest.mark.parametrize("missing", ["README.md", "src/agentplat_tool_calculator/py.typed"])
def test_a_missing_file_is_seen(checkout: Path, missing: str) -> None:
    (checkout / "plugins/tool-calculator" / missing).unlink()
    assert packaging.misnamed(checkout) == [f"plugins/tool-calculator lacks {missing}"]


def test_a_distribution_that_no_list_knows_is_seen(checkout: Path) -> None:
    shutil.copytree(checkout / "plugins/tool-calculator", checkout / "plugins/tool-abacus")
    found = packaging.unlisted(checkout)
    assert len(found) == 7
    assert all(line.startswith("plugins/tool-abacus is not in ") for line in found)


def test_addresses_of_registries_and_paths_of_machines_are_seen(plant: Plant) -> None:
    registry, top = packaging.HOSTS[0], "/"  # not written out: this file is checked too
    root = plant(
        {"a.md": f"see {registry}", "b.py": f"x = '{top}root/.cache'", "c.md": f"{top}home/ann/x", "uv.lock": ""}
    )
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    assert packaging.leaked_places(root, packaging.tracked_files(root)) == [
        f"a.md:1: {registry}",
        f"b.py:1: {top}root",
        f"c.md:1: {top}home/",
        "uv.lock holds addresses or versions of one machine",
    ]


def test_ordinary_text_is_no_machine_path(plant: Plant) -> None:
    text = "GET /workflows, ./work/x, docs/root/x, https://example.org/home/ann, /home, ~/.config, /tmp/x"
    root = plant({"a.md": text})
    assert packaging.leaked_places(root, [Path("a.md")]) == []
