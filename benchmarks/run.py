"""Runs workloads over peers, interleaved and several times, and prints tables. `python benchmarks/run.py --help`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from harness.adapter import RESULT
from harness.environments import python_of
from harness.servers import require_linux, servers

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", default="W1,W4")
    parser.add_argument("--peers", default="agentplat,limit")
    parser.add_argument("--n", default="")
    parser.add_argument("--reps", type=int, default=1)
    parser.add_argument("--profile", default="")
    arguments = parser.parse_args()
    require_linux()
    if arguments.profile:
        os.environ["BENCH_PROFILE"] = str(Path(arguments.profile).absolute())
    with servers(redis=False) as told:
        print(told)
        for _ in range(arguments.reps):
            for workload in arguments.workloads.split(","):
                for peer, sets in (("limit", []), ("agentplat", []), ("agentplat", ["database=sqlite"])):
                    if peer in arguments.peers.split(","):
                        command = [python_of(peer), "-m", f"peers.{peer}", workload]
                        command += [part for each in sets for part in ("--set", each)]
                        command += ["--n", arguments.n] if arguments.n else []
                        said = subprocess.run(
                            command,
                            cwd=HERE,
                            env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE}/plugin"},
                            capture_output=True,
                            text=True,
                            check=False,
                        )
                        lines = [line for line in said.stdout.splitlines() if line.startswith(RESULT)]
                        print(workload, peer, sets, flush=True)
                        if lines:
                            print(json.dumps(json.loads(lines[-1][len(RESULT) :]), indent=1))
                        print(said.stderr[-3000:])


if __name__ == "__main__":
    main()
