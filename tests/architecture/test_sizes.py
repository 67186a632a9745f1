import pytest

from .conftest import Plant
from .gates import sizes
from .gates.tree import REPOSITORY, demand_none


def test_no_file_is_longer_than_its_ceiling() -> None:
    demand_none(sizes.long_files(REPOSITORY))


def test_no_function_is_longer_than_its_ceiling() -> None:
    demand_none(sizes.long_functions(REPOSITORY))


def test_no_folder_holds_more_files_than_its_ceiling() -> None:
    demand_none(sizes.crowded_folders(REPOSITORY))


def test_the_core_stays_readable_in_an_afternoon() -> None:
    assert sizes.core_size(REPOSITORY) <= sizes.WHOLE_CORE


def test_every_run_says_the_size_that_the_gate_counts(pytestconfig: pytest.Config) -> None:
    headers = pytestconfig.hook.pytest_report_header(config=pytestconfig, start_path=REPOSITORY)
    assert f"core: {sizes.core_size(REPOSITORY)} of {sizes.WHOLE_CORE} lines" in str(headers)


def test_a_long_file_is_seen_in_python_and_sql(plant: Plant) -> None:
    root = plant({"core/src/agentplat/a.py": "x = 1\n" * 400, "core/src/agentplat/sql/b.sql": "--\n" * 401})
    assert sizes.long_files(root) == ["core/src/agentplat/sql/b.sql: 401 lines, at most 400"]


def test_a_long_function_is_seen_inside_a_class(plant: Plant) -> None:
    method = "class A:\n    async def long(self):\n" + "        x = 1\n" * 60
    root = plant({"plugins/tool-x/pyproject.toml": "", "plugins/tool-x/src/agentplat_tool_x/a.py": method})
    assert sizes.long_functions(root) == ["plugins/tool-x/src/agentplat_tool_x/a.py:2: long has 61 lines, at most 60"]


def test_a_crowded_folder_is_seen(plant: Plant) -> None:
    root = plant({f"core/src/agentplat/m{n}.py": "" for n in range(15)})
    assert sizes.crowded_folders(root) == ["core/src/agentplat: 15 Python files, at most 14"]


def test_the_size_of_the_core_counts_every_line_of_it(plant: Plant) -> None:
    root = plant({"core/src/agentplat/a.py": "x = 1\n\n", "core/src/agentplat/sql/b.sql": "--\n", "core/x.py": "1\n"})
    assert sizes.core_size(root) == 3
