"""Every error that agentplat raises on purpose, ordered by what a caller would catch.

AgentplatError
├── UsageError           the caller's fault; change the call
│   ├── InputRejected        a value does not fit; one fault per JSON pointer
│   ├── WorkflowInvalid      a workflow document has faults; one diagnostic each
│   ├── UnknownName          no agent, tool, workflow, ... of that name; the known ones are listed
│   ├── NotFound             no task of that id
│   ├── NotAllowed           the caller may not do that
│   ├── NotInstalled         a distribution that offers it is missing here
│   └── SettingsInvalid      a setting is missing or wrong
├── ConflictError        true at the time, no longer true
│   ├── IllegalTransition    the task's state does not allow it
│   ├── LeaseLost            another claim, or a sweeper, took the task
│   ├── IdempotencyMismatch  the key was used with another body
│   └── InboxFull            the task was told so much that it has not read
├── StepError            what an agent, tool or model raises; carries a Failure
└── UnavailableError     try again later
    ├── StoreUnavailable     the database does not answer
    └── SchemaOutdated       the database has another schema than this version needs
"""

from __future__ import annotations

from collections.abc import Sequence

from agentplat.domain.failure import Failure, FailureCode, seconds_asked
from agentplat.domain.json import JsonObject


class AgentplatError(Exception):
    """`code` is stable and meant for programs; the text says what happened, with which values, and what to do."""

    code = "error"

    @property
    def detail(self) -> str:
        return str(self.args[0]) if self.args else self.code


class UsageError(AgentplatError):
    code = "usage"


class InputRejected(UsageError):
    """`faults` are pairs of JSON pointer and reason; the pointer of the whole value is the empty text."""

    code = "input_rejected"

    def __init__(self, what: str, faults: Sequence[tuple[str, str]]) -> None:
        listed = "; ".join(f"{pointer or '/'} {reason}" for pointer, reason in faults)
        super().__init__(f"{what} does not fit: {listed}.")
        self.faults = tuple(faults)


class WorkflowInvalid(UsageError):
    """`diagnostics` are lines of the form `file:line:column: code: text`, in the order of the file."""

    code = "workflow_invalid"

    def __init__(self, diagnostics: Sequence[str]) -> None:
        super().__init__("The workflow cannot be used:\n" + "\n".join(diagnostics))
        self.diagnostics = tuple(diagnostics)


class VersionConflict(UsageError):
    """Somebody else changed it first, or it is there already."""

    code = "version_conflict"


class UnknownName(UsageError):
    """The first words (`Agent 'x' not found`) are read by existing clients."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        kinds = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        super().__init__(f"{kind.capitalize()} '{name}' not found. Available {kinds}: {listed}.")
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))


class NotFound(UsageError):
    code = "not_found"


class NotAllowed(UsageError):
    code = "not_allowed"


class NotInstalled(UsageError):
    code = "not_installed"


class SettingsInvalid(UsageError):
    code = "settings_invalid"


class ConflictError(AgentplatError):
    code = "conflict"


class IllegalTransition(ConflictError):
    code = "illegal_transition"

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"A task that is {state} cannot be {event}. Read the task again and decide anew.")
        self.state, self.event = state, event


class LeaseLost(ConflictError):
    """Drop the work and count it; never retry the write."""

    code = "lease_lost"


class IdempotencyMismatch(ConflictError):
    code = "idempotency_mismatch"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The idempotency key {key!r} was used before with another body. Send the first body, or another key."
        )


class InboxFull(ConflictError):
    code = "inbox_full"

    def __init__(self, task_id: object, unread: int) -> None:
        super().__init__(
            f"Task {task_id} was told {unread:,} things that it has not read yet. Send the signal again when it has."
        )


class StepError(AgentplatError):
    """A step's failure, typed. Agents, tools and model providers raise it; anything else becomes `agent_failed`."""

    code = "step_failed"

    def __init__(
        self,
        code: FailureCode,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after: float | None = None,
        details: JsonObject | None = None,
    ) -> None:
        """`retryable` defaults to what is usual for the code; `retry_after` is in seconds, a day at most."""
        super().__init__(message)
        self.failure = Failure(
            code=code,
            message=message,
            retryable=code.usually_retryable if retryable is None else retryable,
            retry_after=seconds_asked(retry_after),
            details=details or {},
        )


class UnavailableError(AgentplatError):
    code = "unavailable"


class StoreUnavailable(UnavailableError):
    code = "store_unavailable"


class SchemaOutdated(UnavailableError):
    code = "schema_outdated"
