"""The worker proper: claims tasks and lets a TaskOwner drive each of them.

Its lease is renewed from outside, by the keeper; this process only finds out that it is gone.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from agentplat import telemetry
from agentplat.contracts.hints import Hint
from agentplat.contracts.store import Claim, Store, WorkerRow
from agentplat.domain.errors import LeaseLost, SchemaOutdated, StoreUnavailable, UnavailableError
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.json import JsonObject
from agentplat.domain.task import Lease
from agentplat.engine.body import RunBody
from agentplat.engine.catalog import Catalog, outgrown
from agentplat.engine.children import Children, Declared
from agentplat.engine.client import steering
from agentplat.engine.definitions import Definitions
from agentplat.engine.journal import JournalWriter, patiently
from agentplat.engine.ownership import TaskOwner, Watch
from agentplat.engine.rules import CurrentRules
from agentplat.runtime.worker_state import WORKER_TRANSITIONS, WorkerEvent, WorkerOptions, WorkerState

VERSION = "0.1.0"
_RARELY = 20.0
_SELDOM = 30.0  # seconds between looks for what it owns unknowingly: a claim may be committed long afterwards
_PATIENCE = 2.0  # seconds in which somebody who is idle may take what has to run alone
LAST_WORDS = 2.0
"""Seconds in which steps that are dropped may end. If they do not, their tasks are handed back all the same."""
_MOMENT = 0.005  # seconds in which a busy worker's slots become free together


class Worker:
    """One per process. `serve` returns when the worker has stopped."""

    def __init__(
        self,
        store: Store,
        catalog: Callable[[], Catalog],
        definitions: Definitions,
        run_body: RunBody,
        watch: Watch,
        *,
        options: WorkerOptions,
        plugins: JsonObject,
        worker_id: WorkerId,
        on_registered: Callable[[float], None] = lambda began: None,
        decides: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`worker_id` must be new. `on_registered` tells the keeper since when there is a row; `decides`, on what."""
        self._store = store
        self._catalog = catalog
        self._definitions = definitions
        self._run_body = run_body
        self._watch = watch
        self._options = options
        self._plugins = plugins
        self._id = worker_id
        self._on_registered = on_registered
        self._state = WorkerState.STARTING
        self._owners: dict[TaskId, TaskOwner] = {}
        telemetry.TASKS_OWNED.set_function(lambda: len(self._owners))
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer = JournalWriter(store)
        self._rules = CurrentRules(catalog, definitions, decides)
        self._stop = asyncio.Event()
        self._news = asyncio.Event()  # a hint, a free slot, or the end
        self._told = False  # an inbox may have something
        self._unheard = False  # it may own tasks in the database of which it does not know
        self._look_at = time.monotonic() + _SELDOM  # when it looks for them whether or not
        self._adopted: dict[TaskId, Lease] = {}
        self._leaving: set[TaskId] = set()
        self._declared: Declared = {}
        self._waits = True  # there may be tasks to claim: whoever makes them claimable hints at it
        self._suspects_since: float | None = 0.0  # the same, of those that have to run alone
        self._alone: TaskId | None = None  # what nothing else may run beside
        self._hands_on = False  # whatever is here goes at the end of its step, so that one may be alone
        self._more_waits = False  # the last claim gave as many as were asked for

    @property
    def state(self) -> WorkerState:
        return self._state

    def stop(self) -> None:
        """Drain, then stop. May be called again, and from a signal handler of the loop."""
        self._stop.set()
        self._news.set()

    async def serve(self) -> None:
        """Work until told to stop. What still runs after `drain_seconds` is handed back."""
        self._move(WorkerEvent.LOADED)
        writing = asyncio.create_task(self._writer.serve(), name="journal-writer")
        try:
            await self._connect()
            if self._state is WorkerState.RUNNING:
                unsubscribe = self._store.subscribe(self._hear)
                try:
                    await self._claim_until_stopped()
                finally:
                    unsubscribe()
            if self._state is WorkerState.DRAINING:
                await self._drain()
        except BaseException:
            self._move(WorkerEvent.FAILED)
            raise
        finally:
            await self._abandon_all()
            writing.cancel()

    def _move(self, event: WorkerEvent) -> None:
        before, self._state = self._state, WORKER_TRANSITIONS[self._state, event]
        telemetry.log.info(telemetry.WORKER_STATE, before=before.value, state=self._state.value, event_name=event.value)

    async def _connect(self) -> None:
        row = WorkerRow(
            id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=VERSION,
            capacity=self._options.concurrency,
            plugins=self._plugins,
            queues=self._options.queues,
        )
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                await self._store.register_worker(row, self._options.lease_seconds)
            except StoreUnavailable as error:
                telemetry.log.warning(telemetry.STORE_AWAY, detail=error.detail)
                await self._pause(1.0)
                continue
            self._on_registered(began)
            self._move(WorkerEvent.REGISTERED)
            return
        self._move(WorkerEvent.TOLD_TO_STOP)

    async def _claim_until_stopped(self) -> None:
        while not self._stop.is_set():
            self._news.clear()  # before the look: what is hinted at meanwhile leads to another one
            try:
                if self._told:
                    await self._deliver()
                if self._unheard or time.monotonic() >= self._look_at:
                    await self._disown()
                found = await self._claim()
            except StoreUnavailable as error:
                telemetry.log.warning(telemetry.STORE_AWAY, detail=error.detail)
                found, self._unheard = False, True
                self._waits = True  # it may have been the look for them that failed
                self._suspect()
            if not found:
                # Jitter: workers that were started together must not poll together.
                pause = self._poll_seconds * random.uniform(0.5, 1.5)  # noqa: S311
                due = self._suspects_in
                await self._pause(pause if due is None else min(pause, due))
        self._move(WorkerEvent.TOLD_TO_STOP)

    async def _disown(self) -> None:
        """Give back what this worker owns without knowing it. Refused, it is tried again at the next look."""
        self._unheard, self._look_at = False, time.monotonic() + _SELDOM  # before the look, as with news
        try:
            await self._store.disown(self._id, self._adopted)
        except UnavailableError:
            self._unheard = True
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the tasks that it knows need not end for it
            telemetry.log.warning(telemetry.TASKS_NOT_GIVEN_BACK, error=type(error).__name__)
            self._unheard = True

    @property
    def _poll_seconds(self) -> float:
        """Between two looks without a hint: rare where hints arrive, since then they are only for what got lost."""
        return max(self._options.poll_seconds, _RARELY) if self._store.hears else self._options.poll_seconds

    def _hear(self, hint: Hint) -> None:
        if hint is Hint.TOLD:
            self._told = True
        elif hint is Hint.WORK:
            self._waits = True
        elif hint is Hint.SUSPECT:
            self._suspect()
        else:
            return
        self._news.set()

    def _suspect(self) -> None:
        if self._suspects_since is None:
            self._suspects_since = time.monotonic()

    @property
    def _suspects_in(self) -> float | None:
        """Seconds until it is this worker's business whether something has to run alone; None: nothing is known of it.

        Whoever is busy would have to end everything first, so for a while it is left to those who are idle.
        """
        if self._suspects_since is None or self._free <= 0:
            return None
        return max(self._suspects_since + _PATIENCE - time.monotonic(), 0.0) if self._tasks else 0.0

    async def _claim(self) -> bool:
        """Whether to look again at once. A slot that is free again is no reason: all that waited was claimed before."""
        if self._more_waits and self._free < self._options.concurrency // 4:
            # A claim for each slot as it becomes free would cost more than the tasks do.
            await asyncio.sleep(_MOMENT)
        free = self._free
        if free <= 0:
            return False
        if self._suspects_in == 0.0:
            self._suspects_since = None  # before the look, as with news
            suspect = await self._store.claim_suspect(self._id, queues=self._options.queues)
            if suspect is not None:
                await self._drive_alone(suspect)
                self._suspect()
                return True
        if not (self._waits or self._more_waits):
            return False
        self._waits = False
        claims = await self._store.claim(self._id, free, queues=self._options.queues)
        for claim in claims:
            self._adopt(claim)
        self._more_waits = len(claims) == free
        return self._more_waits

    @property
    def _free(self) -> int:
        """How many more tasks may begin here. One that only waits for its last commit needs no slot any more.

        So the next tasks are claimed while the last ones are written down, and neither waits for the other.
        """
        most = self._options.concurrency
        return min(most - len(self._tasks) + len(self._leaving), 2 * most - len(self._tasks))

    def _leaves(self, task_id: TaskId) -> None:
        self._leaving.add(task_id)
        self._news.set()

    async def _drive_alone(self, claim: Claim) -> None:
        """A task whose last worker died with it: alone, so that another death is certainly its own doing.

        It is above suspicion when its step has succeeded; then others may begin beside it.
        """
        if isinstance(await self._rules.means(claim), str):  # nothing of it will run here
            self._adopt(claim)
            return
        claimed = time.monotonic()
        await self._wait_until_idle()
        self._hands_on = False
        self._adopt(replace(claim, now=claim.now + timedelta(seconds=time.monotonic() - claimed)))
        self._alone = claim.lease.task_id
        await self._wait_until_idle(self._alone)
        self._alone = None

    def _clears(self, task_id: TaskId) -> None:
        """Of several that were suspected, only the one that is alone now is waited for."""
        if self._alone == task_id:
            self._alone = None
            self._news.set()

    async def _wait_until_idle(self, alone: TaskId | None = None) -> None:
        """Or until the one that runs alone need not any more.

        What is still here after a while is handed on at the end of its step: a task may go on for hours, and all that
        waits would wait for it.
        """
        until = time.monotonic() + _PATIENCE if alone is None else math.inf
        while self._tasks and self._alone == alone and not self._stop.is_set():
            self._news.clear()
            if self._told:
                await self._deliver()
            if time.monotonic() >= until:
                until, self._hands_on = math.inf, True
                for owner in self._owners.values():
                    owner.drain()
            await self._pause(min(self._poll_seconds, max(until - time.monotonic(), 0.0)))

    def _adopt(self, claim: Claim) -> None:
        telemetry.TASKS_CLAIMED.inc()
        self._adopted[claim.lease.task_id] = claim.lease
        task = asyncio.create_task(self._own(claim))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, claim.lease.task_id))

    def _ended(self, task_id: TaskId, task: asyncio.Task[None]) -> None:
        """The slot is free, if it was not before. Both are forgotten together: it must not count twice."""
        self._tasks.discard(task)
        self._leaving.discard(task_id)
        self._news.set()

    async def _own(self, claim: Claim) -> None:
        task_id = claim.lease.task_id
        try:
            ending = await self._drive(claim)
        except LeaseLost:
            ending = "lost"
            # Another has the task, or it is still this worker's: its journal goes on where nobody here has written.
            self._unheard = True
        except Exception as error:  # noqa: BLE001  # a fault of ours must not keep the task for ever
            telemetry.log.exception(telemetry.TASK_BROKE, task_id=str(task_id))
            ending = await self._leave(claim, f"agentplat failed on it ({type(error).__name__}); see the worker's log")
        finally:
            if self._adopted.get(task_id) is claim.lease:  # and was not claimed again meanwhile
                del self._adopted[task_id]
                self._owners.pop(task_id, None)
        telemetry.tasks_closed(ending).inc()

    async def _drive(self, claim: Claim) -> str:
        """How the claim ended. A task that cannot be worked on here is left to others."""
        means = await self._rules.means(claim)
        if isinstance(means, str):
            return await self._leave(claim, means)
        pinned, rules = means
        owner = TaskOwner(
            claim,
            pinned,
            Children(claim, pinned, self._declared, self._recall),
            rules=rules,
            store=self._store,
            writer=self._writer,
            run_body=self._run_body,
            watch=self._watch,
            lacks=partial(outgrown, self._catalog(), pinned=pinned.agents),
            leaving=partial(self._leaves, claim.lease.task_id),
            cleared=partial(self._clears, claim.lease.task_id),
        )
        self._owners[claim.lease.task_id] = owner
        if self._state is WorkerState.DRAINING or self._hands_on:
            owner.drain()
        try:
            return await owner.drive()
        except SchemaOutdated as error:
            return await self._leave(claim, error.detail)

    async def _recall(self, child: TaskId, reason: str) -> None:
        catalog = self._catalog()
        await steering.recall(child, reason, store=self._store, definitions=self._definitions, catalog=catalog)

    async def _leave(self, claim: Claim, reason: str) -> str:
        try:
            await TaskOwner.hand_back(claim, self._writer, reason)
        except Exception as error:  # noqa: BLE001  # the task is forgotten here all the same
            if not isinstance(error, LeaseLost):
                telemetry.log.exception(telemetry.TASK_BROKE, task_id=str(claim.lease.task_id))
            self._unheard = True
            return "lost"
        return "released"

    async def _deliver(self) -> None:
        """Tell owners that their inbox has something. What nobody here owns is not known to be this worker's."""
        self._told = False
        try:
            woken = await self._store.woken(self._id)
        except StoreUnavailable as error:
            telemetry.log.warning(telemetry.STORE_AWAY, detail=error.detail)
            return
        for task_id in woken:
            owner = self._owners.get(task_id)
            if owner is not None:
                owner.nudge()
            self._unheard |= task_id not in self._adopted

    async def _pause(self, seconds: float) -> None:
        """Until there is a hint, a slot is freed, the worker is told to stop, or the time is up."""
        if self._stop.is_set() and self._state is not WorkerState.DRAINING:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            self._waits = True  # nobody said so, but a hint may have been lost
            self._told |= bool(self._owners)
            self._suspect()

    async def _drain(self) -> None:
        for owner in self._owners.values():
            owner.drain()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._options.drain_seconds)
        await self._abandon_all()
        await patiently(lambda: self._store.deregister_worker(self._id))
        self._move(WorkerEvent.EMPTY)

    async def _abandon_all(self) -> None:
        """Drop what still runs without writing anything: the row's removal, or the sweeper, hands it to others."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_WORDS)
