"""Each of many bugs, put into a copy of the core on purpose, is caught by the tests that are there to catch it.

AGENTPLAT_BUGS=all tries every one; otherwise five a day, others every day. AGENTPLAT_BUGS_SEED= says which.
"""

import os
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from agentplat_testkit.postgres import PostgresServer

from agentplat.store.address import Address
from agentplat.store.statements import said_to

from .bugs import BUGS
from .patching import SOURCE, Bug, copy_core, run_tests, source_of

SAMPLE = 5
SEED = os.environ.get("AGENTPLAT_BUGS_SEED", datetime.now(UTC).date().isoformat())
IS_LONG = os.environ.get("AGENTPLAT_BUGS") == "all"
NAME = re.compile(r"(?<!:):([a-z_]+)")
MODEL = ("core/tests/store/test_model.py",)


def tried(bugs: Sequence[Bug], most: int) -> Sequence[Bug]:
    return bugs if IS_LONG else random.Random(SEED).sample(bugs, most)


# Numbers, not bugs: all processes of a run collect the same, also at midnight.
BY_TESTS = len(BUGS) if IS_LONG else SAMPLE
SEEN_BY_MODEL = [bug for bug in BUGS if bug.by_model]
BY_MODEL = len(SEEN_BY_MODEL) if IS_LONG else 1


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """One server for all the runs, each of which would start its own."""
    if given := os.environ.get("AGENTPLAT_TEST_POSTGRES_URL"):
        yield given
        return
    with PostgresServer() as server:
        yield server.url()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(BY_TESTS))
def test_a_bug_is_caught(number: int, tmp_path: Path, server_url: str) -> None:
    bug = tried(BUGS, SAMPLE)[number]
    folder = copy_core(tmp_path, bug)
    for test in bug.caught_by:
        outcome = run_tests(folder, (test,), server_url)
        assert outcome.failed, f"nobody noticed that {bug}: {test} (seed {SEED})\n{outcome.output}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(BY_MODEL))
def test_a_bug_of_the_store_is_caught_by_the_state_machine(number: int, tmp_path: Path, server_url: str) -> None:
    bug = tried(SEEN_BY_MODEL, 1)[number]
    outcome = run_tests(copy_core(tmp_path, bug), MODEL, server_url)
    assert outcome.failed, f"the state machine did not notice that {bug} (seed {SEED})\n{outcome.output}"


@pytest.mark.timeout(900)
def test_a_copy_without_a_bug_passes_the_same_tests(tmp_path: Path, server_url: str) -> None:
    folder = copy_core(tmp_path)
    tests = {test for bug in tried(BUGS, SAMPLE) for test in bug.caught_by}
    outcome = run_tests(folder, tuple(sorted(tests)), server_url)
    assert outcome.passed, outcome.output
    assert not outcome.failed + outcome.broken, outcome.output


def test_the_copy_is_what_is_tested(tmp_path: Path) -> None:
    folder = copy_core(tmp_path)
    command = [sys.executable, "-c", "import agentplat.store; print(agentplat.store.__file__)"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert Path(printed.strip()).is_relative_to(folder)


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_a_bug_finds_its_text(bug: Bug) -> None:
    source = source_of(bug)
    changed = bug.applied(source)
    assert changed != source
    if bug.file.endswith(".py"):
        compile(changed, bug.file, "exec")


def numbered(text: str) -> str:
    """With `$1` for the first name, as PREPARE has it."""
    for number, name in enumerate(dict.fromkeys(NAME.findall(text)), start=1):
        text = re.sub(rf"(?<!:):{name}\b", f"${number}", text)
    return text


def refusals(bugs: Iterable[Bug], session: psycopg.Connection[Any], connection: sqlite3.Connection) -> list[str]:
    """What the databases say to statements with a bug that are none: such a bug is caught by whatever runs them."""
    said = []
    for bug in bugs:
        written = bug.applied(source_of(bug))
        try:
            if "Only on SQLite" not in written:
                session.execute(f"PREPARE p AS {numbered(said_to('postgresql', written))}; DEALLOCATE p".encode())
            if "Only on PostgreSQL" not in written:
                text = said_to("sqlite", written)
                connection.execute(f"EXPLAIN {text}", dict.fromkeys(NAME.findall(text)))
        except (psycopg.Error, sqlite3.Error) as error:
            said.append(f"{bug}: {error}")
    return said


def test_every_statement_with_a_bug_is_one_that_the_databases_take(postgres_url: str, sqlite_url: str) -> None:
    broken = Bug("it is none", "store/sql/claim.sql", (("LIMIT :limit\n", "LIMIT LIMIT :limit\n"),), ())
    unknown = Bug("it is not there", "store/sql/claim.sql", (("AND q.run_at <= (", "AND q.runs_at <= ("),), ())
    on_sqlite = Bug(
        "it is not there", "store/sql/choose_fairly.sql", (("SELECT a.*, row", "SELECT a.runs_at, row"),), ()
    )
    with (
        psycopg.connect(Address.parse(postgres_url).libpq, autocommit=True) as session,
        closing(sqlite3.connect(str(Address.parse(sqlite_url).file))) as connection,
    ):
        assert refusals([bug for bug in BUGS if bug.file.endswith(".sql")], session, connection) == []
        assert len(refusals([broken, unknown, on_sqlite], session, connection)) == 3


CANNOT_WORK = [
    ("store/sql/claim.sql", "LIMIT :limit\n", "LIMIT LIMIT :limit\n", "[postgresql]"),
    (
        "store/transactions/claims.py",
        "    name = ",
        "    from agentplat.nowhere import name\n\n    name = ",
        "[sqlite]",
    ),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("file", "before", "after", "backend"), CANNOT_WORK)
def test_what_cannot_work_at_all_is_not_caught(
    file: str, before: str, after: str, backend: str, tmp_path: Path, server_url: str
) -> None:
    """Every test fails on it, also one that is good for nothing."""
    test = f"core/tests/store/test_claims.py::test_a_claim_never_exceeds_its_limit{backend}"
    folder = copy_core(tmp_path, Bug("it does not work", file, ((before, after),), (test,)))
    outcome = run_tests(folder, (test,), server_url)
    assert (outcome.passed, outcome.failed, outcome.broken) == (0, 0, 1), outcome.output


def test_a_bug_whose_text_is_gone_says_so() -> None:
    bug = Bug("it is gone", "store/sql/claim.sql", (("no such text", ""),), ())
    with pytest.raises(LookupError, match=r"'it is gone' replaces a text that is 0 times in store/sql/claim\.sql"):
        bug.applied(source_of(bug))


def test_no_two_bugs_are_the_same_and_there_are_enough() -> None:
    assert len({bug.what for bug in BUGS}) == len({(bug.file, bug.changes) for bug in BUGS}) == len(BUGS) >= 25
    assert all(bug.caught_by for bug in BUGS)
    assert SOURCE.is_dir()
