from typing import Any

from harness.columns import COLUMNS, REFERENCE
from harness.plan import LONG_PLAN, SHORT_PLAN
from harness.report import ratio, rows_by_workload, shown, table
from harness.targets import TARGETS, targets


def test_a_row_is_the_median_of_its_runs_with_their_range() -> None:
    runs = [
        {
            "workload": "W1",
            "label": "a",
            "place": 0,
            "drain_per_s": rate,
            "unit": {"commits": 1.0},
            "foreign_cores": 0.1,
        }
        for rate in (100.0, 300.0, 200.0)
    ]
    [row] = rows_by_workload(runs)["W1"]
    assert row["medians"] == {"drain_per_s": 200.0, "unit.commits": 1.0}
    assert (row["runs"], row["range"]) == (3, [100.0, 300.0])


def test_a_row_without_a_good_run_says_why() -> None:
    runs = [
        {"workload": "W1", "label": "a", "place": 0, "error": "it broke", "foreign_cores": 0.0},
        {"workload": "W1", "label": "b", "place": 1, "missing": "no redis-server"},
    ]
    rows = rows_by_workload(runs)["W1"]
    assert [row["fault"] for row in rows] == ["it broke", "no redis-server"]
    assert "| a | it broke |" in table(rows, "W1")


def test_a_failed_run_does_not_hide_the_good_ones() -> None:
    good = {"workload": "W5", "label": "a", "place": 0, "wall_s": 2.0, "foreign_cores": 0.0}
    [row] = rows_by_workload([good, {**good, "wall_s": None, "error": "it broke"}])["W5"]
    assert (row["medians"], row["runs"]) == ({"wall_s": 2.0}, 1)


def test_a_ratio_above_one_is_better_for_rates_and_for_times() -> None:
    assert ratio(200.0, 100.0, "W1") == "2x"
    assert ratio(2.0, 1.0, "W5") == "0.5x"
    assert ratio(None, 1.0, "W5") == "-"


def test_figures_are_short() -> None:
    assert [shown(value) for value in (None, 12345.6, 123.4, 1.2345, 0.01234)] == [
        "-",
        "12,346",
        "123",
        "1.23",
        "0.0123",
    ]


def test_rows_of_a_workload_have_different_labels() -> None:
    for plan in (LONG_PLAN, SHORT_PLAN):
        rows = [(entry.workload, entry.label) for entry in plan]
        assert len(set(rows)) == len(rows)


def test_every_reference_is_a_row_and_every_workload_has_columns() -> None:
    planned = {(entry.workload, entry.label) for entry in LONG_PLAN}
    assert set(REFERENCE.items()) <= planned
    assert {workload for workload, _ in planned if not workload.startswith("P")} == set(COLUMNS)


def test_the_short_plan_is_agentplat_and_the_limit_only() -> None:
    assert {entry.peer for entry in SHORT_PLAN} == {"agentplat", "limit"}


def test_a_target_says_what_was_reached_and_whether_that_is_enough() -> None:
    def row(label: str, **medians: float) -> dict[str, Any]:
        return {"label": label, "medians": medians}

    found = targets(
        {
            "W1": [row("agentplat on PostgreSQL", drain_per_s=4_000), row("pgqueuer", drain_per_s=16_000)],
            "W5": [row("agentplat on PostgreSQL", wall_s=0.1), row("langgraph on PostgreSQL, sync", wall_s=1.0)],
            "W8": [row("agentplat on PostgreSQL", statements_per_minute=61, cpu_s_per_minute=0.1)],
        }
    )
    assert found.splitlines()[2:] == [
        "| W1 drained/s, PostgreSQL | at least 0.4 x pgqueuer | 0.25 | **missed** |",
        "| W5 seconds, PostgreSQL | at most 0.5 x langgraph on PostgreSQL, sync | 0.1 | reached |",
        "| W8 statements/minute, PostgreSQL | at most 60 | 61 | **missed** |",
        "| W8 own CPU s/minute, PostgreSQL | at most 0.3 | 0.1 | reached |",
    ]
    assert targets({}) == ""


def test_every_target_is_of_a_row_that_is_measured() -> None:
    planned = {(entry.workload, entry.label) for entry in LONG_PLAN}
    for target in TARGETS:
        assert (target.workload, target.row) in planned
        assert not target.of or {(target.workload, target.of), ("W1", target.of)} & planned
        paths = [column.path for column in COLUMNS[target.workload]]
        assert {target.path, target.of_path} <= {"", *paths}
