"""What an adapter is: it runs one workload of one peer, and prints the numbers as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, ClassVar

from harness.processes import WorkerProcess
from harness.tally import now

RESULT = "RESULT "
WORKLOADS = {
    "P1": "drain",  # P: the same as W, for a profile
    "P4": "steps",
    "P5": "children",
    "W1": "drain",
    "W2": "drain",
    "W3": "latency",
    "W4": "steps",
    "W5": "children",
    "W6": "waiting",
    "W7": "sleeping",
    "W8": "idle",
    "W9": "enqueue",
    "W10": "listening",
}
"""Workload to the method of the adapter that runs it; a peer without the method cannot do it."""

Numbers = dict[str, Any]


class Adapter:
    """One per peer: `python -m peers.NAME W1 --n 5000 --set key=value`, or `worker` for its own worker processes."""

    name: ClassVar[str]
    packages: ClassVar[Sequence[str]] = ()  # whose versions count
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # workload to options

    def configure(self, options: dict[str, Any]) -> None:
        """Take out of the options what the adapter itself wants to know."""

    def extras(self) -> Numbers:
        """What there is to say besides the workload's own numbers."""
        return {}

    def clean(self) -> None:
        """Remove what was made beside the databases."""

    def worker(self, **options: Any) -> None:
        """Work for ever, in a process of its own."""
        raise NotImplementedError(f"{self.name} has no workers of its own")

    def versions(self) -> dict[str, str]:
        found = {"python": sys.version.split()[0]}
        for package in self.packages:
            try:
                found[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
        return found

    def main(self) -> None:
        """Do what the command line says, and end the process: some peers leave threads behind."""
        parser = argparse.ArgumentParser()
        parser.add_argument("what", help="W1 to W10, worker, versions")
        parser.add_argument("--n", type=int)
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
        arguments = parser.parse_args()
        options = dict(_option(text) for text in arguments.set)
        if arguments.n:
            options["n"] = arguments.n
        self.configure(options)
        if arguments.what == "worker":
            self.worker(**options)
            return
        print(RESULT + json.dumps(self._result(arguments.what, options)))
        self.clean()
        sys.stdout.flush()
        os._exit(0)

    def _result(self, what: str, options: Mapping[str, Any]) -> Numbers:
        if what == "versions":
            return self.versions()
        workload = getattr(self, WORKLOADS[what], None)
        if workload is None:
            return {"cannot": True}
        wanted = {**self.defaults.get(what.replace("P", "W"), {}), **options}
        began = now()
        try:
            numbers = {**workload(**wanted), **self.extras()}
        except Exception as error:  # noqa: BLE001 - whatever a peer raises belongs into the report
            traceback.print_exc()
            numbers = {"error": f"{type(error).__name__}: {str(error)[:600]}"}
        return {"options": wanted, "took_s": round(now() - began, 1), **numbers}


def _option(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def spawn_workers(module: str, count: int, **options: Any) -> list[WorkerProcess]:
    """Processes that run the adapter's `worker` with these options."""
    command = [sys.executable, "-m", module, "worker"]
    command += [part for key, value in options.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    return [WorkerProcess(command) for _ in range(count)]


def percentile(values: Sequence[float], at: float) -> float:
    """Between the two nearest values, in proportion."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * at / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def in_milliseconds(seconds: Sequence[float]) -> Numbers:
    """The distribution of what took so many seconds each."""
    milliseconds = [each * 1000 for each in seconds]
    points = {f"p{at}": round(percentile(milliseconds, at), 2) for at in (50, 95, 99)}
    return {**points, "n": len(milliseconds)}


def per_second(count: float, seconds: float) -> float:
    """So many a second."""
    return round(count / seconds, 1)
