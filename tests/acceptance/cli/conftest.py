from collections.abc import Iterator
from pathlib import Path

import pytest

from .processes import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """An empty folder, in which nothing may run any more at the end."""
    path = tmp_path / "here"
    path.mkdir()
    folder = Folder(path)
    yield folder
    folder.wait_until_nothing_runs()
