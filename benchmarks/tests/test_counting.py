import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness.layers import layer_of, shares
from harness.processes import WorkerProcess, wait_for
from harness.tally import Tally

BODY = "from harness.tally import Tally; t = Tally.attached(); t.gate(); t.mark(3); t.hit(); t.hit()"

PARENT = """
import subprocess, time
print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


def test_bodies_of_another_process_are_counted_behind_the_gate(found: None) -> None:
    tally = Tally.create(tasks=5)
    worker = WorkerProcess([sys.executable, "-c", BODY])
    try:
        wait_for(lambda: tally.waiting() == 1, 30, "the worker", [worker])
        assert tally.read().bodies == 0
        opened = time.monotonic()
        tally.open_gate()
        wait_for(lambda: tally.read().bodies == 2, 30, "two bodies")
        hits = tally.read()
        assert opened <= tally.marked(3) <= hits.first <= hits.last
        assert (tally.marked(2), hits.per_worker) == (0.0, (2,))
    finally:
        worker.stop()
        tally.remove()


def test_a_worker_that_ended_is_not_waited_for() -> None:
    worker = WorkerProcess([sys.executable, "-c", "raise SystemExit('what it said')"])
    with pytest.raises(RuntimeError, match="what it said"):
        wait_for(lambda: False, 30, "nothing", [worker])
    worker.stop()


def test_a_stopped_worker_takes_its_children_along() -> None:
    worker = WorkerProcess([sys.executable, "-c", PARENT])
    child = int(wait_for(worker.said, 30, "the child"))
    worker.stop()
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(child)], capture_output=True, text=True, check=False)
    assert told.stdout[:1] in ("", "Z")


def test_a_file_belongs_to_the_layer_that_owns_it() -> None:
    assert layer_of("/x/agentplat/domain/interpreter.py") == "interpreter and strategies"
    assert layer_of("/x/agentplat/engine/steps/calls.py") == "engine: running a body"
    assert layer_of("/x/site-packages/sqlalchemy/sql/compiler.py") == "store client: SQLAlchemy"
    assert layer_of("/usr/lib/python3.11/json/encoder.py") is None


def test_shares_of_several_workers_add_up(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"layer": "x", "place": "f", "n": 3}]', encoding="utf-8")
    (tmp_path / "b.json").write_text('[{"layer": "y", "place": "g", "n": 1}]', encoding="utf-8")
    found = shares([tmp_path / "a.json", tmp_path / "b.json"])
    assert (found["samples"], found["layers"]) == (4, {"x": 0.75, "y": 0.25})
