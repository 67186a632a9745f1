"""The names of spans, metrics and log events; of what exports them, only a page for a scraper."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from agentplat.domain.errors import SettingsInvalid

log = structlog.get_logger("agentplat")

# Log events.
LEASE_LOST = "lease_lost"
STORE_AWAY = "store_away"
TASK_CLAIMED = "task_claimed"
TASK_CLOSED = "task_closed"
TASK_BROKE = "task_broke"
TASK_LEFT = "task_left_for_another_worker"
TASK_POISONED = "task_poisoned"
STEP_SETTLED = "step_settled"
STEP_ABANDONED = "step_abandoned"
STEP_BROKE = "step_broke"
PROGRESS = "progress"
WORKER_STATE = "worker_state"
WORKERS_SWEPT = "workers_swept"
PLUGIN_REJECTED = "plugin_rejected"
OUTPUT_REJECTED = "output_rejected"
WORKFLOW_KEPT = "workflow_kept_last_good_version"
SCHEDULE_FIRED = "schedule_fired"
SCHEDULE_FAULT = "schedule_fault"
SCHEDULE_BROKE = "schedule_broke"
SCHEDULE_HIDDEN = "schedule_of_file_hidden_by_another"
PARTITIONS_CHANGED = "partitions_changed"
PARTITION_PUT_OFF = "partition_put_off"

# Metrics.
COMMITS = Counter("agentplat_commits", "Group commits of the journal writer.")
LEASES_LOST = Counter("agentplat_leases_lost", "Writes that were refused because the lease was lost.")
TASKS_SUBMITTED = Counter("agentplat_tasks_submitted", "Tasks that were accepted.", ["type"])
TASKS_CLAIMED = Counter("agentplat_tasks_claimed", "Claims of tasks by this worker.")
TASKS_CLOSED = Counter("agentplat_tasks_closed", "How this worker's claims ended.", ["closing"])
TASKS_OWNED = Gauge("agentplat_tasks_owned", "Tasks that this worker owns now.")
STEPS_SETTLED = Counter("agentplat_steps_settled", "Attempts at steps, by outcome.", ["kind", "outcome"])
STEP_SECONDS = Histogram("agentplat_step_seconds", "How long attempts at steps took.", ["kind"])
MODEL_TOKENS = Counter("agentplat_model_tokens", "Tokens of model calls.", ["model", "direction"])
WORKERS_LOST = Counter("agentplat_workers_lost", "Workers whose lease ended without a word.")
ROWS_REMOVED = Counter("agentplat_rows_removed", "Rows that had been kept long enough and were removed.", ["table"])

step_seconds = cache(STEP_SECONDS.labels)
"""`STEP_SECONDS` of a kind: finding it anew costs more than counting."""

steps_settled = cache(STEPS_SETTLED.labels)
"""`STEPS_SETTLED` of a kind and an outcome."""

tasks_closed = cache(TASKS_CLOSED.labels)
"""`TASKS_CLOSED` of a closing."""

tracer = trace.get_tracer("agentplat")

# Spans and attributes, after OpenTelemetry's GenAI conventions, which are not stable yet.
SPAN_TASK = "invoke_workflow"
SPAN_AGENT = "invoke_agent"
SPAN_TOOL = "execute_tool"
ATTRIBUTE_TASK_ID = "agentplat.task.id"
ATTRIBUTE_TASK_TYPE = "agentplat.task.type"
ATTRIBUTE_STEP_PATH = "agentplat.step.path"
ATTRIBUTE_TENANT = "agentplat.tenant"
ATTRIBUTE_NAME = "gen_ai.agent.name"


def about(**values: object) -> Any:
    """The log, each line of which says these values too, as text. Made when something is logged: few steps do."""
    return _Log(values)


class _Log:
    __slots__ = ("_values",)

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    def __getattr__(self, method: str) -> Any:
        said = {name: str(value) for name, value in self._values.items()}
        return getattr(structlog.get_logger("agentplat", **said), method)


def is_logged(level: str) -> bool:
    """Whether lines of that level are kept."""
    return logging.getLogger().isEnabledFor(_LEVELS[level])


_LEVELS = logging.getLevelNamesMapping() | {name.lower(): at for name, at in logging.getLevelNamesMapping().items()}


def step_span(
    kind: str, target: str, trace_id: str, parent_span: str | None, task_id: object, path: object
) -> AbstractContextManager[object]:
    """A span of the task's trace for one attempt of a step, whichever process began that trace.

    Without a parent's span id the trace's own first half stands for it, so that the trace id is kept. Where nobody
    collects spans there is none.
    """
    if not _is_tracing():
        return _NO_SPAN
    context = SpanContext(
        trace_id=int(trace_id, 16),
        span_id=int(parent_span or trace_id[:16], 16) or 1,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    labels = {ATTRIBUTE_TASK_ID: str(task_id), ATTRIBUTE_STEP_PATH: str(path), ATTRIBUTE_NAME: target}
    return tracer.start_as_current_span(
        f"{SPAN_AGENT if kind == 'agent' else SPAN_TOOL} {target}",
        context=trace.set_span_in_context(NonRecordingSpan(context)),
        attributes=labels,
    )


_NO_SPAN = nullcontext()


@cache
def _is_tracing() -> bool:
    """Whether a provider was set before the first step: asking costs more than all the rest of a span that is none."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def serve_metrics(port: int) -> None:
    """Serve this process's metrics to scrapers on this machine, in a thread, as long as the process lives."""
    try:
        start_http_server(port, addr="127.0.0.1")
    except OSError as error:
        raise SettingsInvalid(
            f"worker.metrics_port {port} cannot be bound: {error.strerror}. Choose another."
        ) from error
