"""Workers of a zygote, each kept by the test as a keeper keeps its own: renewed while it lives and is not stopped."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from agentplat.domain.errors import StoreUnavailable
from agentplat.store.renewal import Renewal

from .processes import counting, send

T = TypeVar("T")
LEASE = 1.5
_RENEW = 0.5
_THREADS = 40  # each waits for the database, and nobody for a thread


class Line:
    """A connection to the database, for one call at a time."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._turn = asyncio.Lock()

    async def call(self, call: Callable[..., T], *given: Any) -> T:
        async with self._turn:
            return await self._called(call, *given)

    async def _called(self, call: Callable[..., T], *given: Any) -> T:
        """To its end, when this is cancelled too: a connection that another thread closes meanwhile is a crash."""
        calling = asyncio.get_running_loop().run_in_executor(self._threads, call, *given)
        try:
            return await asyncio.shield(calling)
        finally:
            await asyncio.wait([calling])


class Foster(Line):
    """What stands for the keeper of one worker after the other. As each keeper, it has a connection of its own."""

    def __init__(self, threads: ThreadPoolExecutor, database_url: str) -> None:
        super().__init__(threads)
        self._renewal = Renewal(database_url)
        self._renewing = False

    async def renew(self, fledgling: Fledgling) -> None:
        try:
            found = await self.call(self._renewal.renew, fledgling.id, LEASE)
        except StoreUnavailable:
            return
        fledgling.was_seen = fledgling.was_seen or found
        if fledgling.was_seen and not found and fledgling.is_renewed:
            fledgling.send(9)  # its row is gone: a keeper ends it

    async def keep(self, fledgling: Fledgling) -> None:
        """Renew it as long as it lives."""
        while not fledgling.ended.done():
            if fledgling.is_renewed:
                await self.renew(fledgling)
            await asyncio.wait([fledgling.ended], timeout=_RENEW)

    async def kill_in_renewal(self, fledgling: Fledgling, after: float) -> bool:
        """Kill it so many seconds after its renewal has begun. Whether that was still under way."""

        def renew() -> None:
            self._renewing = True
            with suppress(StoreUnavailable):
                self._renewal.renew(fledgling.id, LEASE)
            self._renewing = False

        async with self._turn:
            renewing = asyncio.create_task(self._called(renew))
            while not self._renewing and not renewing.done():  # noqa: ASYNC110 - it begins in another thread
                await asyncio.sleep(0)
            await asyncio.sleep(after)
            fledgling.send(9)
            was_under_way = self._renewing  # by then it was killed
            await renewing
        return was_under_way

    async def expire(self, fledgling: Fledgling) -> None:
        """What a keeper does when its process has ended, as often as it takes."""
        while True:
            try:
                return await self.call(self._renewal.expire, fledgling.id)
            except StoreUnavailable:
                await asyncio.sleep(_RENEW)

    def close(self) -> None:
        self._renewal.close()


@dataclass
class Fledgling:
    """One worker process. `ended` has its exit code, negative for a signal."""

    id: UUID
    pid: int
    ended: asyncio.Future[int]
    is_renewed: bool = True  # not while it is stopped, nor when it was
    was_seen: bool = False  # its row

    def send(self, signum: int) -> None:
        if not self.ended.done():
            send(self.pid, signum)


@dataclass
class Nursery:
    folder: Path
    process: asyncio.subprocess.Process
    database_url: str
    threads: ThreadPoolExecutor
    counts: Line
    count: Callable[[UUID], int]
    alive: dict[int, Fledgling] = field(default_factory=dict)
    fosters: list[Foster] = field(default_factory=list)
    _asked: dict[str, asyncio.Future[Fledgling]] = field(default_factory=dict)
    _kept: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def deaths(self) -> Counter[str]:
        """How often a worker ended itself, by the point at which."""
        file = self.folder / "deaths"
        return Counter(file.read_text().split()) if file.exists() else Counter()

    def refused(self) -> int:
        """How many stale writes were refused, as the workers' logs say."""
        return (self.folder / "workers.log").read_text(errors="replace").count('"event": "lease_lost"')

    def last_words(self) -> str:
        """Of the workers that ended by an exception."""
        log = (self.folder / "workers.log").read_text(errors="replace")
        return "\n".join(log[found.start() :][:4000] for found in [*re.finditer(r"^Traceback", log, re.MULTILINE)][-2:])

    def used(self) -> float:
        """Seconds of a processor that the zygote and its dead workers used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def foster(self) -> Foster:
        self.fosters.append(foster := Foster(self.threads, self.database_url))
        return foster

    async def fork(self, foster: Foster, point: str = "", at: int = 1, after: float = 0.0) -> Fledgling:
        """A worker that ends itself as `Doomed` says, or lives until somebody ends it."""
        worker_id = uuid4()
        order = {"worker": str(worker_id), "point": point, "at": at, "after": after}
        files = {name: str(self.folder / file) for name, file in (("deaths", "deaths"), ("log", "workers.log"))}
        asked: asyncio.Future[Fledgling] = asyncio.get_running_loop().create_future()
        self._asked[str(worker_id)] = asked
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order | files).encode() + b"\n")
        fledgling = await asked
        self._kept.add(keeping := asyncio.create_task(foster.keep(fledgling)))
        keeping.add_done_callback(self._kept.discard)
        return fledgling

    async def go_on(self) -> None:
        """One worker, and another when that one has ended, until this is cancelled: what a keeper does."""
        foster = self.foster()
        while True:
            fledgling = await self.fork(foster)
            await asyncio.shield(fledgling.ended)
            await foster.expire(fledgling)

    async def owned(self, fledgling: Fledgling) -> int:
        """How many tasks it owns, or owned when it died, and nobody has taken them from it yet."""
        return await self.counts.call(self.count, fledgling.id)

    async def close(self) -> None:
        """End all that live, and what was done for them."""
        for fledgling in tuple(self.alive.values()):
            for signum in (18, 9):  # continue, then kill
                fledgling.send(signum)
        for keeping in (kept := tuple(self._kept)):
            keeping.cancel()
        await asyncio.gather(*kept, return_exceptions=True)
        for foster in self.fosters:
            foster.close()

    async def listen(self) -> None:
        """Hear what the zygote says, until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            said = json.loads(line)
            if "worker" in said:
                ended = asyncio.get_running_loop().create_future()
                fledgling = self.alive[said["pid"]] = Fledgling(UUID(said["worker"]), said["pid"], ended)
                self._asked.pop(said["worker"]).set_result(fledgling)
            else:
                self.alive.pop(said["ended"]).ended.set_result(said["code"])


@asynccontextmanager
async def nursery(folder: Path, database_url: str, marks: Path) -> AsyncIterator[Nursery]:
    environment = {
        **os.environ,
        "AGENTPLAT_DATABASE_URL": database_url,
        "AGENTPLAT_IDENTITY__KEY": "0123456789abcdef",
        "AGENTPLAT_LOG__FORMAT": "json",
        "AGENTPLAT_LOG__LEVEL": "warning",
        "AGENTPLAT_WORKER__LEASE_SECONDS": str(LEASE),
        "AGENTPLAT_WORKER__RENEW_SECONDS": str(_RENEW),
        "AGENTPLAT_WORKER__POLL_SECONDS": "0.1",
        "AGENTPLAT_WORKER__CONCURRENCY": "4",
        "MARKS": str(marks),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.zygote"),
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    with ThreadPoolExecutor(_THREADS) as threads, counting(database_url) as count:
        found = Nursery(folder, process, database_url, threads, Line(threads), count)
        listening = asyncio.create_task(found.listen())
        try:
            yield found
        finally:
            await found.close()
            listening.cancel()
            await asyncio.wait([listening])
            process.kill()
            await process.wait()
