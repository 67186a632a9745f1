"""One run of one entry, and a whole plan: interleaved, repeated, with what foreign processes used meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.adapter import RESULT
from harness.columns import COLUMNS, value_at
from harness.environments import EnvironmentMissing, python_of
from harness.noise import Noise
from harness.plan import Entry
from harness.processes import descendants

HERE = Path(__file__).parents[1]
Measured = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How often, and how quiet it should be."""

    reps: int = 5
    noise: float = 0.25  # the most foreign cores with which a run is kept at once
    retries: int = 1
    patience: float = 20.0  # seconds to wait for a quiet machine before each run
    timeout: float = 900.0


def measure(plan: Sequence[Entry], conditions: Conditions, keep: Callable[[list[Measured]], None]) -> None:
    """Run the plan, workload by workload. `keep` is handed everything so far after each run.

    Each repetition runs every entry of a workload once, from another one on each time, so that a slow minute of the
    machine falls on all of them.
    """
    noise = Noise()
    noise.start()
    runs: list[Measured] = []
    missing = _missing({entry.peer for entry in plan})
    for workload in dict.fromkeys(entry.workload for entry in plan):
        entries = [entry for entry in plan if entry.workload == workload]
        for rep in range(1 if workload.startswith("P") else conditions.reps):
            first = rep * 3 % len(entries)
            for entry in entries[first:] + entries[:first]:
                if entry.peer in missing:
                    run: Measured = {"missing": missing[entry.peer]}
                elif any(
                    run["label"] == entry.label and run["workload"] == workload and "missing" in run for run in runs
                ):
                    continue
                else:
                    run = _best(entry, conditions, noise)
                about = {"workload": workload, "label": entry.label, "peer": entry.peer, "rep": rep}
                runs.append({**about, "place": plan.index(entry), **run})
                keep(runs)
                _say(runs[-1])


def versions(peers: Sequence[str]) -> dict[str, dict[str, str]]:
    """Of everything that is measured, peer by peer."""
    found = {}
    for peer in peers:
        with suppress(EnvironmentMissing):
            told = _run([python_of(peer), "-m", f"peers.{peer}", "versions"], 60)
            if "error" not in told:
                found[peer] = told
    return found


def _missing(peers: set[str]) -> dict[str, str]:
    """Peers that cannot be measured here, and why."""
    found = {}
    for peer in sorted(peers):
        try:
            python_of(peer)
        except EnvironmentMissing as error:
            found[peer] = str(error)
    if "celery" in peers and "BENCH_REDIS_PORT" not in os.environ:
        found["celery"] = "there is no redis-server on this machine"
    return found


def _best(entry: Entry, conditions: Conditions, noise: Noise) -> Measured:
    """The quietest of a few runs; the first one that was quiet enough."""
    options = [part for key, value in entry.options.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    command = [entry.python or python_of(entry.peer), "-m", f"peers.{entry.peer}", entry.workload, *options]
    best: Measured | None = None
    for _ in range(conditions.retries + 1):
        noise.wait_for_quiet(conditions.noise, conditions.patience)
        foreign, began = noise.seconds, time.monotonic()
        run = _run(command, conditions.timeout)
        seconds = time.monotonic() - began
        run |= {
            "foreign_cores": round((noise.seconds - foreign) / seconds, 2),
            "at": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        if best is None or _order(run) < _order(best):
            best = run
        if "missing" in run or ("error" not in run and run["foreign_cores"] <= conditions.noise):
            break
    assert best is not None
    return best


def _order(run: Measured) -> tuple[bool, float]:
    return "error" in run, run["foreign_cores"]


def _run(command: Sequence[str], timeout: float) -> Measured:
    paths = os.pathsep.join([str(HERE), str(HERE / "plugin")])
    process = subprocess.Popen(
        command,
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"error": f"took longer than {timeout:g} s"}
    finally:
        if process.poll() is None:
            for pid in descendants(process.pid):  # its workers too, which have sessions of their own
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.communicate()
    results = [line for line in said.splitlines() if line.startswith(RESULT)]
    if not results:
        return {"error": f"no result: {said[-800:]}"}
    run: Measured = json.loads(results[-1].removeprefix(RESULT))
    if "error" in run:
        run["said"] = said[-3000:]
    return run


def _say(run: Measured) -> None:
    main = COLUMNS[run["workload"].replace("P", "W")][0]
    shown = run.get("error") or run.get("missing") or f"{value_at(run, main.path)} {main.title}"
    foreign = run.get("foreign_cores", 0)
    line = f"{run.get('at', '')} #{run['rep'] + 1} {run['workload']} {run['label']}: {str(shown)[:300]}"
    print(f"{line} (foreign cores {foreign})", file=sys.stderr, flush=True)
