"""How long it takes to list open approvals among many tasks that wait for something else.

    python benchmarks/approvals.py                                # 10,000 waiting tasks, each hundredth an approval
    python benchmarks/approvals.py sqlite --tasks 100000 --every 1000

A worker runs them until all of them wait. Then pages are asked for as the API does. Ends with 1 when the
quickest page of a hundred took longer than 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from agentplat_migrations.schema import upgrade
from examination import database, say

from agentplat.contracts.approvals import ApprovalView
from agentplat.contracts.interface import Submission, TaskFilter
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient
from agentplat.runtime.app import open_platform
from agentplat.runtime.settings import load_settings

LOOKS = 9
MOST_MS = 50.0
BATCH = 1_000
EMITS = "".join(f"  - {{name: e{n}, emit: {{event: progress, data: {{n: {n}}}}}}}\n" for n in range(10))
WAITING = {
    "told": "  - {name: told, wait: {signal: go}}",
    "asked": '  - {name: asked, approval: {message: "Publish ${{ input.topic }}?", form: {comment: string}}}',
}


async def fill(folder: Path, client: LocalClient, count: int, every: int) -> None:
    """So many tasks, all of which wait."""
    command = [sys.executable, "-P", "-m", "agentplat.runtime.cli", "worker"]
    worker = await asyncio.create_subprocess_exec(*command, cwd=folder, start_new_session=True)
    try:
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            kinds = ("asked" if number % every == every - 1 else "told" for number in numbers)
            await client.submit_all([Submission(type=f"workflow:{kind}", input={"topic": "tea"}) for kind in kinds])
        for state in (TaskState.PENDING, TaskState.RUNNING):
            while await client.tasks(TaskFilter(status=state, limit=1)):
                await asyncio.sleep(0.2)
    finally:
        worker.terminate()
        await worker.wait()


async def look(kind: str, folder: Path, url: str, count: int, every: int) -> float:
    """The milliseconds of a page of a hundred."""
    os.environ |= {"AGENTPLAT_DATABASE_URL": url, "AGENTPLAT_IDENTITY__KEY": "of the benchmark"}
    os.environ |= {"AGENTPLAT_LOG__LEVEL": "warning"}
    async with open_platform(load_settings(folder)) as platform:
        client = platform.client()
        began = time.monotonic()
        await fill(folder, client, count, every)
        made = f"made in {time.monotonic() - began:.0f} s"
        say(f"{kind}: {count} tasks wait, {count // every} of them for an approval; {made}")
        taken = 0.0
        for limit, assignee in ((10, None), (100, None), (100, "nobody")):
            times: list[float] = []
            found: Sequence[ApprovalView] = ()
            for _ in range(LOOKS):
                began = time.perf_counter()
                found = await client.approvals(limit=limit, assignee=assignee)
                times.append((time.perf_counter() - began) * 1_000)
            middle = statistics.median(times)
            for_whom = f" for {assignee}" if assignee else ""
            say(f"{kind}: a page of {limit}{for_whom}: {len(found)} found, {middle:.1f} ms (least {min(times):.1f})")
            taken = max(taken, min(times)) if assignee is None else taken
        return taken


def main() -> None:
    """As the first lines of this file say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="postgresql|sqlite")
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=100)
    given = parser.parse_args()
    taken = []
    for kind in given.kinds or ("postgresql", "sqlite"):
        folder = Path(tempfile.mkdtemp(prefix="approvals-"))
        (folder / "workflows").mkdir()
        for name, waits in WAITING.items():
            text = f"name: {name}\nstrategy: sequential\nsteps:\n{EMITS}{waits}\n"
            (folder / "workflows" / f"{name}.yaml").write_text(text)
        try:
            with database(kind, folder) as url:
                upgrade(url)
                taken.append(asyncio.run(look(kind, folder, url, given.tasks, given.every)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if max(taken) <= MOST_MS else 1)


if __name__ == "__main__":
    main()
