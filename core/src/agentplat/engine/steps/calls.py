"""The ledger of model and tool calls, as one try of one step sees it.

After a crash the same try runs again from its beginning; what the ledger has is answered from it. Two rules:

- Models, and tools that are pure or only read, are found again by their number within the try. When what is asked
  under a number differs from what was recorded (`call_diverged`), the rest of the recording is forgotten: it belongs
  to another course of events. A new try starts without them.
- Effects (`idempotent`, `at_most_once`) belong to the step, not to a try. They are found by tool, arguments and
  occurrence, whatever the try, and are kept under try 0, where no divergence overwrites them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from agentplat.contracts.agent import Log
from agentplat.contracts.store import CallRow
from agentplat.contracts.tool import Effect
from agentplat.domain.errors import StepError
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath, TaskId
from agentplat.domain.json import JsonValue
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat.engine.steps.invocation import json_text, keepable

CallKind: TypeAlias = Literal["model", "tool"]
EFFECTS = frozenset({Effect.IDEMPOTENT, Effect.AT_MOST_ONCE})
EFFECT_TRY = 0

_NOTHING_HAPPENED = frozenset(
    {FailureCode.INVALID_INPUT, FailureCode.REFUSED, FailureCode.RATE_LIMITED, FailureCode.BUDGET}
)
"""Failures by which a tool says that it had no effect. After any other one an `at_most_once` call is in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """A call as the ledger keeps it, unique by (task, path, try, number); a later record replaces an earlier one.

    `started` is an intent. A `finished` effect with a failure is known not to have happened.
    """

    kind: CallKind
    name: str
    try_number: int  # 0 for effects
    number: int
    fingerprint: str
    key: str  # the idempotency key
    effect: Effect | None = None  # None for models
    status: Literal["started", "finished"] = "finished"
    output: JsonValue = None
    failure: Failure | None = None
    usage: Usage = NO_USAGE

    @property
    def is_answer(self) -> bool:
        return self.status == "finished" and self.failure is None

    def to_row(self, path: StepPath) -> CallRow:
        return CallRow(
            path=str(path),
            try_number=self.try_number,
            number=self.number,
            kind=self.kind,
            name=self.name,
            status=self.status,
            content={
                "fingerprint": self.fingerprint,
                "key": self.key,
                "effect": None if self.effect is None else self.effect.value,
                "output": self.output,
                "failure": None if self.failure is None else self.failure.to_json(),
            },
            usage=self.usage,
        )

    @staticmethod
    def from_row(row: CallRow) -> RecordedCall:
        effect, failure = row.content.get("effect"), row.content.get("failure")
        return RecordedCall(
            kind=row.kind,
            name=row.name,
            try_number=row.try_number,
            number=row.number,
            fingerprint=str(row.content["fingerprint"]),
            key=str(row.content["key"]),
            effect=None if effect is None else Effect(str(effect)),
            status=row.status,
            output=row.content.get("output"),
            failure=Failure.from_json(failure) if isinstance(failure, dict) else None,
            usage=row.usage,
        )


CallSink: TypeAlias = Callable[[RecordedCall], Awaitable[None]]
"""Keeps a record, in the order of the calls; what it returns is done when the record is durable.

It takes its place in the order when it is first run. It is awaited only where durability must come first; when nobody
awaits it any more it is cancelled, which must not take the record back. What it raises ends the step: see
`CallLedger.broken`.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave, as JSON."""

    output: JsonValue
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has its place in the ledger. `recorded` is what is known of it from before."""

    kind: CallKind
    name: str
    number: int
    fingerprint: str
    occurrence: int
    key: str
    effect: Effect | None
    recorded: RecordedCall | None


Perform: TypeAlias = Callable[[], Awaitable[Answer]]


def fingerprint(arguments: JsonValue) -> str:
    """SHA-256 of the arguments' canonical JSON, in hex."""
    return hashlib.sha256(json_text(arguments, sort_keys=True).encode()).hexdigest()


def idempotency_key(
    task_id: TaskId, path: StepPath, kind: str, name: str, fingerprint: str = "", occurrence: int = 1
) -> str:
    """The same for every attempt and every try, and another for every other call. 32 characters."""
    text = "\n".join((str(path), kind, name, fingerprint, str(occurrence)))
    digest = hmac.new(task_id.bytes, text.encode(), hashlib.sha256).digest()
    return base64.b32encode(digest[:20]).decode().lower()


class CallLedger:
    """The calls of one try of one step. `recorded` is all that is kept for the step's path, of any try."""

    def __init__(
        self,
        *,
        task_id: TaskId,
        path: StepPath,
        try_number: int,
        sink: CallSink,
        log: Log,
        recorded: Iterable[RecordedCall] = (),
    ) -> None:
        self._task_id, self._path, self._try = task_id, path, try_number
        self._sink, self._log = sink, log
        self._replay: dict[int, RecordedCall] = {}
        self._effects: dict[str, RecordedCall] = {}
        self._doubts: dict[str, RecordedCall] = {}
        self._last = self._last_effect = 0
        self._occurrences: dict[tuple[str, str, str], set[int]] = {}
        self._writes: set[asyncio.Future[None]] = set()
        self._open = True
        self.broken: BaseException | None = None
        """Why a record could not be kept, if so. The step has no outcome then, whatever its body made of it."""
        self.usage = NO_USAGE
        """Of this try so far. What an interrupted attempt paid for counts here, since it had no outcome of its own."""
        for call in recorded:
            self._know(call)

    def _know(self, call: RecordedCall) -> None:
        if call.try_number == self._try:
            self._replay[call.number] = call
            self.usage += call.usage
        elif call.try_number == EFFECT_TRY:
            self._effects[call.key] = call
            self._last_effect = max(self._last_effect, call.number)
            if _is_doubtful(call):
                self._doubts[call.key] = call

    def stop_if_in_doubt(self) -> None:
        """StepError `in_doubt` when an `at_most_once` call of this step was begun and its outcome is not known."""
        for call in self._doubts.values():
            raise _in_doubt(call)

    def close(self) -> None:
        """No call is taken from now on: the step is over."""
        self._open = False
        if not self._writes:
            return
        # In the loop's next round every record has been handed over; whether it was kept is nobody's question any more,
        # since the step's outcome comes after it.
        asyncio.get_running_loop().call_soon(self._stop_waiting)

    def _stop_waiting(self) -> None:
        for write in tuple(self._writes):
            write.cancel()

    def reserve(self, count: int = 1) -> int:
        """The first of `count` numbers, in the order of asking, so that concurrent calls keep their numbers."""
        first = self._last + 1
        self._last += count
        return first

    def place(
        self, kind: CallKind, name: str, arguments: JsonValue, *, number: int, effect: Effect | None = None
    ) -> Call:
        """The call under its number, with what is recorded of it. RuntimeError when the step is over."""
        if not self._open:
            raise RuntimeError(f"{kind} {name!r} was called after its step had ended; await every call within execute")
        if self.broken is not None:
            raise self.broken
        same = (kind, name, fingerprint(arguments))
        taken = self._occurrences.setdefault(same, set())
        occurrence = next(n for n in range(1, len(taken) + 2) if n not in taken)
        taken.add(occurrence)
        key = idempotency_key(self._task_id, self._path, *same, occurrence)
        recorded = self._recorded(number, same)
        if effect in EFFECTS:
            recorded = self._effects.get(key)
        return Call(kind, name, number, same[2], occurrence, key, effect, recorded)

    def _recorded(self, number: int, same: tuple[str, str, str]) -> RecordedCall | None:
        before = self._replay.get(number)
        if before is None or (before.kind, before.name, before.fingerprint) == same:
            return before
        forgotten = [later for later in self._replay if later >= number]
        for later in forgotten:
            del self._replay[later]
        self._log.warning(
            "call_diverged", number=number, kind=same[0], name=same[1], recorded=before.name, forgotten=len(forgotten)
        )
        return None

    async def answer(self, call: Call, perform: Perform, *, ends_step: bool = False) -> JsonValue:
        """The call's output: the recorded one, else what `perform` gives, which is then recorded.

        `ends_step` says that the step's own outcome follows at once, so that nothing has to wait for the record.
        """
        if call.recorded is not None and call.recorded.is_answer:
            return call.recorded.output
        if call.effect in EFFECTS:
            return await self._perform_effect(call, perform, ends_step=ends_step)
        try:
            answer = await perform()
        except BaseException:
            self._release(call)
            raise
        # Not awaited: a lost record costs a repeat after a crash, waiting for each one would cost a commit per call.
        self._finish(_begun(call, self._try, call.number), answer)
        return answer.output

    async def _perform_effect(self, call: Call, perform: Perform, *, ends_step: bool) -> JsonValue:
        if call.effect is Effect.AT_MOST_ONCE:
            self.stop_if_in_doubt()
        intent = await self._intend(call)
        try:
            answer = await perform()
        except StepError as error:
            raise await self._failed_effect(call, intent, error) from None
        except BaseException:
            self._release(call)
            self._note_doubt(intent)
            raise
        record = self._finish(intent, answer)
        if not ends_step:
            # Awaited: what comes next may rest on this effect, and until it is kept a crash leaves it in doubt.
            await asyncio.shield(record)
        return answer.output

    async def _intend(self, call: Call) -> RecordedCall:
        """The intent, durable."""
        known = self._effects.get(call.key)
        if known is not None and known.status == "started":
            return known
        if known is None:
            self._last_effect += 1
        intent = _begun(call, EFFECT_TRY, self._last_effect if known is None else known.number)
        self._effects[call.key] = intent
        try:
            await asyncio.shield(self._write(intent))
        except asyncio.CancelledError:
            failure = Failure(code=FailureCode.CANCELLED, message="It was cancelled before it was called.")
            self._write(replace(intent, status="finished", failure=failure))
            raise
        return intent

    async def _failed_effect(self, call: Call, intent: RecordedCall, error: StepError) -> StepError:
        """The error to raise. The call may be made again, under the same key, unless it is in doubt now."""
        self._release(call)
        if call.effect is not Effect.AT_MOST_ONCE:
            return error
        failure = keepable(error.failure)
        if failure.code in _NOTHING_HAPPENED:
            record = replace(intent, status="finished", failure=failure)
            self._effects[call.key] = record
            await asyncio.shield(self._write(record))
            return error
        self._note_doubt(intent)
        details = {**failure.details, "in_doubt": True}
        return StepError(failure.code, failure.message, retryable=False, details=details)

    def _note_doubt(self, intent: RecordedCall) -> None:
        if intent.effect is Effect.AT_MOST_ONCE:
            self._doubts[intent.key] = intent

    def _finish(self, begun: RecordedCall, answer: Answer) -> asyncio.Future[None]:
        self.usage += answer.usage
        record = replace(begun, status="finished", output=answer.output, usage=answer.usage)
        if record.effect in EFFECTS:
            self._effects[record.key] = record
        return self._write(record)

    def _release(self, call: Call) -> None:
        """Give the occurrence back: a repeat of a failed call is the same call, under the same key."""
        self._occurrences[call.kind, call.name, call.fingerprint].discard(call.occurrence)

    def _write(self, record: RecordedCall) -> asyncio.Future[None]:
        write = asyncio.ensure_future(self._sink(record))
        self._writes.add(write)
        write.add_done_callback(self._written)
        return write

    def _written(self, write: asyncio.Future[None]) -> None:
        self._writes.discard(write)
        if not write.cancelled() and (error := write.exception()) is not None:
            self.broken = self.broken or error


def _is_doubtful(call: RecordedCall) -> bool:
    return call.effect is Effect.AT_MOST_ONCE and call.status == "started"


def _begun(call: Call, try_number: int, number: int) -> RecordedCall:
    return RecordedCall(
        kind=call.kind,
        name=call.name,
        try_number=try_number,
        number=number,
        fingerprint=call.fingerprint,
        key=call.key,
        effect=call.effect,
        status="started",
    )


def _in_doubt(call: RecordedCall) -> StepError:
    return StepError(
        FailureCode.IN_DOUBT,
        f"The tool {call.name!r} was begun and what came of it is not known. It must not be repeated ({call.effect}): "
        f"look at the other side for the key {call.key}, then decide.",
        details={"tool": call.name, "key": call.key},
    )
