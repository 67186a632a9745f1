"""Running a step's body with what is installed here: the registries, the settings, the ledger."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

from agentplat import telemetry
from agentplat.contracts.agent import AgentSpec
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonValue
from agentplat.domain.usage import Usage
from agentplat.domain.workflow import AgentCall
from agentplat.engine.body import BodyEnd, BodyStart
from agentplat.engine.definitions import Pinned
from agentplat.engine.steps.calls import CallLedger, RecordedCall
from agentplat.engine.steps.capabilities import AgentEntry, ModelEntry, ToolEntry
from agentplat.engine.steps.context import Attempt, Surroundings, begins_in_thread, run_body
from agentplat.engine.steps.threads import Threads, Turn
from agentplat.plugins.registry import Registries
from agentplat.runtime.isolation.isolated import Isolation
from agentplat.runtime.lifeline import Lifeline
from agentplat.runtime.settings import Settings

_KEPT = 256
_PATIENCE = 30.0  # seconds beyond a step's own timeout before its worker is given up


class InstalledCapabilities:
    """The `Capabilities` of steps: one generation of the registries, under the project's settings."""

    def __init__(self, registries: Registries, settings: Settings, pinned: Mapping[str, AgentSpec]) -> None:
        self._registries = registries
        self._settings = settings
        self._pinned = pinned
        self._isolation = Isolation(settings.isolation)
        self.project: str | None = str(settings.project)
        self._agents: dict[str, AgentEntry] = {}
        self._tools: dict[str, ToolEntry] = {}

    def agent(self, name: str) -> AgentEntry:
        known = self._agents.get(name)
        if known is not None:
            return known
        pinned = self._pinned.get(name)
        spec = pinned or self._registries.agents.spec(name)
        made = self._registries.pinned_agent(spec) if pinned else self._registries.agent(name)
        agent = self._isolation.agent(made, spec)
        config = {**self._settings.agents.get(name, {}), **spec.config}
        entry = self._agents[name] = AgentEntry(agent=agent, spec=spec, config=config)
        return entry

    def tool(self, name: str) -> ToolEntry:
        known = self._tools.get(name)
        if known is not None:
            return known
        settings: dict[str, JsonValue] = dict(self._settings.tools.get(name, {}))
        documents = self._settings.documents_folder
        if documents is not None:
            settings.setdefault("documents", str(documents))
        made, spec = self._registries.tool(name), self._registries.tools.spec(name)
        tool = self._isolation.tool(made, spec)
        entry = self._tools[name] = ToolEntry(tool=tool, spec=spec, settings=settings)
        return entry

    def model(self, name: str | None) -> ModelEntry:
        named = name or self._settings.model
        choice = self._registries.default_model(os.environ, named)
        provider = self._registries.model_provider(choice.provider.name)
        return ModelEntry(provider=provider, spec=choice.provider, model=choice.model)


class Bodies:
    """Runs bodies for one worker process; tells the keeper which step must end by when."""

    def __init__(
        self, registries: Callable[[], Registries], settings: Settings, lifeline: Lifeline | None = None
    ) -> None:
        self._registries = registries
        self._settings = settings
        self._lifeline = lifeline
        self._threads = Threads(settings.worker.concurrency)
        self._generation: Registries | None = None  # of which the following is known
        self._around: dict[int, tuple[Pinned, Surroundings]] = {}

    async def run(self, body: BodyStart) -> BodyEnd:
        """The outcome of one attempt. See `agentplat.engine.ownership.RunBody`."""
        start, claim = body.start, body.claim
        task_id = claim.lease.task_id
        kind, target = ("agent", start.body.agent) if isinstance(start.body, AgentCall) else ("tool", start.body.tool)
        log = telemetry.about(task_id=task_id, path=start.path, tenant=claim.tenant, trace_id=claim.trace_id)

        async def keep(call: RecordedCall) -> None:
            await body.record(call.to_row(start.path))

        ledger = CallLedger(
            task_id=task_id,
            path=start.path,
            try_number=start.try_number,
            sink=keep,
            log=log,
            recorded=map(RecordedCall.from_row, body.recorded),
        )
        turn = Turn(self._threads)
        attempt = Attempt(
            task_id=task_id,
            tenant=claim.tenant,
            path=start.path,
            timeout=start.timeout,
            ledger=ledger,
            log=log,
            emit=lambda event, values: log.info(telemetry.PROGRESS, progress=event, **values),
            in_thread=turn.call,
        )
        begun = time.monotonic()
        watched = self._begin(task_id, start.timeout, begun)
        try:
            around = self._surroundings(body.pinned)
            if begins_in_thread(start.body, around.capabilities):
                self._end(watched)  # its time begins with its thread
                await turn.reserve()
                begun = time.monotonic()
                watched = self._begin(task_id, start.timeout, begun)
            with telemetry.step_span(kind, target, claim.trace_id, claim.parent_span, task_id, start.path):
                outcome = await run_body(start.body, start.input, attempt, around)
        except asyncio.CancelledError:
            return BodyEnd(cancelled=True, usage=ledger.usage)
        finally:
            turn.end(partial(self._end, watched))
            telemetry.step_seconds(kind).observe(time.monotonic() - begun)
        telemetry.steps_settled(kind, outcome.failure.code.value if outcome.failure else "succeeded").inc()
        return BodyEnd(output=outcome.output, failure=outcome.failure, usage=outcome.usage)

    def _surroundings(self, pinned: Pinned) -> Surroundings:
        """Kept for each workflow, as long as the generation is current: making them costs more than most steps."""
        registries = self._registries()
        if registries is not self._generation or len(self._around) > _KEPT:
            self._generation, self._around = registries, {}
        known = self._around.get(id(pinned))
        if known is None:
            capabilities = InstalledCapabilities(registries, self._settings, pinned.agents)
            known = pinned, Surroundings(capabilities=capabilities, pricing=self._price)
            self._around[id(pinned)] = known  # with `pinned` itself, so that nothing else gets its id
        return known[1]

    def _begin(self, task_id: TaskId, timeout: timedelta, now: float) -> int:
        if self._lifeline is None:
            return 0
        limit = max(self._settings.worker.step_deadline_seconds, timeout.total_seconds() + _PATIENCE)
        return self._lifeline.begin(task_id, now + limit)

    def _end(self, watched: int) -> None:
        if self._lifeline is not None:
            self._lifeline.end(watched)

    def _price(self, model: str, usage: Usage) -> int | None:
        """What the project's settings say that it costs; None when they say nothing."""
        price = self._settings.prices.get(model)
        if price is None:
            return None
        return round((usage.input_tokens * price.input + usage.output_tokens * price.output) / 1_000_000)
