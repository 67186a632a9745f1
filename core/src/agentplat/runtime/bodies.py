"""Running a step's body with what is installed here: the registries, the settings, the ledger."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping

from agentplat import telemetry
from agentplat.contracts.agent import AgentSpec
from agentplat.domain.json import JsonValue
from agentplat.domain.usage import Usage
from agentplat.domain.workflow import AgentCall
from agentplat.engine.definitions import Definitions
from agentplat.engine.ownership import BodyEnd, BodyStart
from agentplat.engine.steps.calls import CallLedger, RecordedCall
from agentplat.engine.steps.capabilities import AgentEntry, ModelEntry, ToolEntry
from agentplat.engine.steps.context import Attempt, Surroundings, run_body
from agentplat.plugins.registry import Registries
from agentplat.runtime.lifeline import Lifeline
from agentplat.runtime.settings import Settings

_PATIENCE = 30.0  # seconds beyond a step's own timeout before its worker is given up


class InstalledCapabilities:
    """The `Capabilities` of steps: one generation of the registries, under the project's settings."""

    def __init__(self, registries: Registries, settings: Settings, pinned: Mapping[str, AgentSpec]) -> None:
        self._registries = registries
        self._settings = settings
        self._pinned = pinned

    @property
    def project(self) -> str | None:
        return str(self._settings.project)

    def agent(self, name: str) -> AgentEntry:
        pinned = self._pinned.get(name)
        spec = pinned or self._registries.agents.spec(name)
        agent = self._registries.pinned_agent(spec) if pinned else self._registries.agent(name)
        config = {**self._settings.agents.get(name, {}), **spec.config}
        return AgentEntry(agent=agent, spec=spec, config=config)

    def tool(self, name: str) -> ToolEntry:
        settings: dict[str, JsonValue] = dict(self._settings.tools.get(name, {}))
        documents = self._settings.documents_folder
        if documents is not None:
            settings.setdefault("documents", str(documents))
        return ToolEntry(tool=self._registries.tool(name), spec=self._registries.tools.spec(name), settings=settings)

    def model(self, name: str | None) -> ModelEntry:
        named = name or self._settings.model
        choice = self._registries.default_model(os.environ, named)
        provider = self._registries.model_provider(choice.provider.name)
        return ModelEntry(provider=provider, spec=choice.provider, model=choice.model)


class Bodies:
    """Runs bodies for one worker process; tells the keeper which step must end by when."""

    def __init__(
        self,
        registries: Callable[[], Registries],
        settings: Settings,
        definitions: Definitions,
        lifeline: Lifeline | None = None,
    ) -> None:
        self._registries = registries
        self._settings = settings
        self._definitions = definitions
        self._lifeline = lifeline

    async def run(self, body: BodyStart) -> BodyEnd:
        """The outcome of one attempt. See `agentplat.engine.ownership.RunBody`."""
        start = body.start
        kind, target = ("agent", start.body.agent) if isinstance(start.body, AgentCall) else ("tool", start.body.tool)
        log = telemetry.log.bind(
            task_id=str(body.task_id), path=str(start.path), tenant=body.tenant, trace_id=body.trace_id
        )
        pinned = await self._definitions.pinned(body.type, body.definition)

        async def keep(call: RecordedCall) -> None:
            await body.record(call.to_row(start.path))

        ledger = CallLedger(
            task_id=body.task_id,
            path=start.path,
            try_number=start.try_number,
            sink=keep,
            log=log,
            recorded=map(RecordedCall.from_row, body.recorded),
        )
        attempt = Attempt(
            task_id=body.task_id,
            tenant=body.tenant,
            path=start.path,
            timeout=start.timeout,
            ledger=ledger,
            log=log,
            emit=lambda event, values: log.info(telemetry.PROGRESS, progress=event, **values),
        )
        around = Surroundings(
            capabilities=InstalledCapabilities(self._registries(), self._settings, pinned.agents),
            pricing=self._price,
        )
        begun = time.monotonic()
        self._begin(body)
        name = telemetry.SPAN_AGENT if kind == "agent" else telemetry.SPAN_TOOL
        labels = {
            telemetry.ATTRIBUTE_TASK_ID: str(body.task_id),
            telemetry.ATTRIBUTE_STEP_PATH: str(start.path),
            telemetry.ATTRIBUTE_NAME: target,
        }
        try:
            with telemetry.span(f"{name} {target}", body.trace_id, body.parent_span, **labels):
                outcome = await run_body(start.body, start.input, attempt, around)
        except asyncio.CancelledError:
            return BodyEnd(cancelled=True, usage=ledger.usage)
        finally:
            self._end(body)
            telemetry.STEP_SECONDS.labels(kind).observe(time.monotonic() - begun)
        telemetry.STEPS_SETTLED.labels(kind, outcome.failure.code.value if outcome.failure else "succeeded").inc()
        return BodyEnd(output=outcome.output, failure=outcome.failure, usage=outcome.usage)

    def _begin(self, body: BodyStart) -> None:
        if self._lifeline is not None:
            own = body.start.timeout.total_seconds() + _PATIENCE
            limit = max(self._settings.worker.step_deadline_seconds, own)
            self._lifeline.begin(body.task_id, str(body.start.path), time.monotonic() + limit)

    def _end(self, body: BodyStart) -> None:
        if self._lifeline is not None:
            self._lifeline.end(body.task_id, str(body.start.path))

    def _price(self, model: str, usage: Usage) -> int | None:
        """What the project's settings say that it costs; None when they say nothing."""
        price = self._settings.prices.get(model)
        if price is None:
            return None
        return round((usage.input_tokens * price.input + usage.output_tokens * price.output) / 1_000_000)
