"""Runs the benchmarks: `python benchmarks/run.py --help`. What they measure, and how, is in benchmarks/README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.environments import CHECKOUT, FOLDER_VARIABLE
from harness.measure import Conditions, Measured, measure, versions
from harness.plan import LONG_PLAN, SHORT_PLAN, Entry
from harness.report import profile_table, profiles, rows_by_workload, tables
from harness.servers import require_linux, servers


def main() -> None:
    """Do what the command line says."""
    arguments = _arguments()
    if arguments.report:
        kept = [json.loads(file.read_text(encoding="utf-8")) for file in arguments.report]
        runs = [run for each in kept for run in each["runs"]]
        _keep_results(arguments, kept[0], runs)
        _print(runs)
        return
    require_linux()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _stop)  # everything that was started ends too, also when we are in the background
    if arguments.environments:
        os.environ[FOLDER_VARIABLE] = str(arguments.environments.absolute())
    if arguments.profile:
        os.environ["BENCH_PROFILE"] = str(arguments.profile.absolute())
    plan = _plan(arguments)
    conditions = Conditions(
        reps=arguments.reps,
        noise=arguments.noise,
        retries=arguments.retries,
        patience=arguments.patience,
        timeout=arguments.timeout,
    )
    peers = list(dict.fromkeys(entry.peer for entry in plan))
    with servers(redis="celery" in peers, embedded=arguments.embedded) as told:
        about = {
            "when": time.strftime("%Y-%m-%d"),
            "commit": _commit(),
            "machine": machine(),
            "servers": told,
            "versions": versions(peers),
        }
        found: list[Measured] = []

        def keep(runs: list[Measured]) -> None:
            found[:] = runs
            if arguments.json:
                arguments.json.write_text(json.dumps({**about, "runs": runs}, indent=1), encoding="utf-8")
            _keep_results(arguments, about, runs)

        measure(plan, conditions, keep)
    _print(found)


def _keep_results(arguments: argparse.Namespace, about: Mapping[str, Any], runs: Sequence[Measured]) -> None:
    if arguments.results:
        conditions = {key: value for key, value in about.items() if key != "runs"} | {"title": arguments.title}
        kept = {**conditions, "rows": rows_by_workload(runs), "profiles": profiles(runs)}
        arguments.results.write_text(f"{json.dumps(kept, indent=1)}\n", encoding="utf-8")


def _print(runs: Sequence[Measured]) -> None:
    print(tables(rows_by_workload(runs)))
    print(f"\n{profile_table(profiles(runs))}")


def _stop(signum: int, _: object) -> None:
    sys.exit(128 + signum)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--short", action="store_true", help="agentplat and the limit only, small: a minute or two")
    add("--workloads", default="", help="such as W1,W4; all without it")
    add("--peers", default="", help="such as agentplat,limit; all without it")
    add("--rows", default="", help="only rows whose label contains one of these, separated by commas")
    add("--n", type=int, help="so many tasks or workflows, in place of each row's own number")
    add("--reps", type=int, default=5, help="how often each row is run")
    add("--noise", type=float, default=0.25, help="the most foreign cores with which a run is kept at once")
    add("--retries", type=int, default=1, help="how often a noisy run is repeated")
    add("--patience", type=float, default=20, help="seconds to wait for a quiet machine before each run")
    add("--timeout", type=float, default=900, help="seconds that one run may take")
    add("--json", type=Path, help="keep all numbers of all runs in this file")
    add("--results", type=Path, help="keep medians and conditions in this file: what the page is made of")
    add("--title", default="now", help="what the page calls these results")
    add("--report", type=Path, nargs="+", help="only print the tables of such files, and keep --results of them")
    add("--profile", type=Path, help="begin of the files in which agentplat's workers keep what cProfile saw")
    add("--environments", type=Path, help="the folder of the peers' environments")
    add("--embedded", action="store_true", help="the PostgreSQL of the wheel, also where the system has one")
    add("--also", action="append", default=[], metavar="LABEL=PYTHON", help="another version of agentplat beside")
    return parser.parse_args()


def _plan(arguments: argparse.Namespace) -> list[Entry]:
    plan: list[Entry] = list(SHORT_PLAN if arguments.short else LONG_PLAN)
    workloads, peers, rows = (_listed(text) for text in (arguments.workloads, arguments.peers, arguments.rows))
    plan = [
        entry
        for entry in plan
        if (not workloads or entry.workload in workloads)
        and (not peers or entry.peer in peers)
        and (not rows or any(part in entry.label for part in rows))
    ]
    if not plan:
        sys.exit("No row is left by --workloads, --peers and --rows.")
    if arguments.n:
        plan = [replace(entry, options={**entry.options, "n": arguments.n}) for entry in plan]
    for also in arguments.also:
        label, _, python = also.partition("=")
        plan += [
            replace(entry, label=entry.label.replace("agentplat", f"agentplat {label}"), python=python)
            for entry in plan
            if entry.peer == "agentplat" and entry.python is None
        ]
    return plan


def _listed(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _commit() -> str:
    """The last change of what is measured, in the checkout, whose installation it is."""
    git = ["git", "-c", "safe.directory=*", "-C", str(CHECKOUT)]
    measured = ["--", "core", "cli", "migrations", "plugins"]
    said = [
        subprocess.run([*git, *command, *measured], capture_output=True, text=True, check=False).stdout.strip()
        for command in (["log", "-1", "--format=%h"], ["status", "--porcelain"])
    ]
    return f"{said[0] or 'unknown'}{' with changes' if said[1] else ''}"


def machine() -> dict[str, Any]:
    """What was measured on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory) / 1024 / 1024),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main()
