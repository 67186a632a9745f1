"""Finished calls are not made twice; effects are not repeated in doubt; keys do not change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from agentplat_testkit.fakes import RememberedLog

from agentplat import Effect, Failure, FailureCode, JsonValue, StepError, Usage
from agentplat.domain.ids import StepPath, TaskId
from agentplat.engine.steps.calls import Answer, CallKind, CallLedger, RecordedCall, fingerprint, idempotency_key

TASK = TaskId(UUID(int=7))
PATH = StepPath.parse("polish#2/critique")


class Kept:
    """What is durable, as the database would have it: a later record of the same number replaces the earlier one."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], RecordedCall] = {}
        self.history: list[RecordedCall] = []
        self.log = RememberedLog()
        self.gate: asyncio.Event | None = None
        self.failure: BaseException | None = None
        self.arrived = asyncio.Event()

    async def sink(self, call: RecordedCall) -> None:
        if self.failure is not None:
            raise self.failure
        self.history.append(call)
        self.arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        self.rows[call.try_number, call.number] = call

    def ledger(self, try_number: int = 1) -> CallLedger:
        """What a new owner sees: through the row that the store keeps."""
        recorded = [RecordedCall.from_row(call.to_row(PATH)) for call in self.rows.values()]
        return CallLedger(
            task_id=TASK, path=PATH, try_number=try_number, sink=self.sink, log=self.log, recorded=recorded
        )


class World:
    """Counts what really happened."""

    def __init__(self) -> None:
        self.made: list[tuple[str, JsonValue]] = []

    def performs(
        self, name: str, arguments: JsonValue, output: JsonValue, error: BaseException | None = None
    ) -> Callable[[], Awaitable[Answer]]:
        async def perform() -> Answer:
            self.made.append((name, arguments))
            if error is not None:
                raise error
            return Answer(output, Usage(model="p:m", input_tokens=1, cost=10) if name == "p:m" else Usage())

        return perform


async def make(
    ledger: CallLedger,
    world: World,
    name: str,
    arguments: JsonValue = None,
    *,
    effect: Effect | None = None,
    output: JsonValue = "out",
    error: BaseException | None = None,
) -> JsonValue:
    kind: CallKind = "model" if effect is None else "tool"
    call = ledger.place(kind, name, arguments, number=ledger.reserve(), effect=effect)
    return await ledger.answer(call, world.performs(name, arguments, output, error))


async def test_a_finished_call_is_answered_from_the_ledger_after_a_crash() -> None:
    kept, world = Kept(), World()
    first = kept.ledger()
    assert await make(first, world, "p:m", {"q": 1}, output="a") == "a"
    assert await make(first, world, "look", {"q": 2}, effect=Effect.READS, output=[1]) == [1]
    await asyncio.sleep(0)
    again = kept.ledger()
    assert await make(again, world, "p:m", {"q": 1}, output="other") == "a"
    assert await make(again, world, "look", {"q": 2}, effect=Effect.READS, output="other") == [1]
    assert await make(again, world, "p:m", {"q": 3}, output="b") == "b"
    assert [name for name, _ in world.made] == ["p:m", "look", "p:m"]


async def test_what_an_interrupted_attempt_paid_for_is_counted_once() -> None:
    kept, world = Kept(), World()
    await make(kept.ledger(), world, "p:m", 1)
    await asyncio.sleep(0)
    again = kept.ledger()
    await make(again, world, "p:m", 1)
    await make(again, world, "p:m", 2)
    assert again.usage == Usage(model="p:m", input_tokens=2, cost=20)


async def test_another_question_under_the_same_number_forgets_the_rest() -> None:
    kept, world = Kept(), World()
    first = kept.ledger()
    for question in (1, 2, 3):
        await make(first, world, "p:m", question, output=question)
    await asyncio.sleep(0)
    world.made.clear()
    again = kept.ledger()
    assert await make(again, world, "p:m", 1) == 1
    assert await make(again, world, "p:m", 20, output="new") == "new"
    assert await make(again, world, "p:m", 3, output="asked anew") == "asked anew"
    assert world.made == [("p:m", 20), ("p:m", 3)]
    assert kept.log.events == ["call_diverged"]


async def test_a_new_try_asks_models_and_readers_again() -> None:
    kept, world = Kept(), World()
    first = kept.ledger()
    await make(first, world, "p:m", 1)
    await make(first, world, "look", 1, effect=Effect.READS)
    await make(first, world, "add", 1, effect=Effect.PURE)
    await asyncio.sleep(0)
    second = kept.ledger(try_number=2)
    await make(second, world, "p:m", 1)
    await make(second, world, "look", 1, effect=Effect.READS)
    await make(second, world, "add", 1, effect=Effect.PURE)
    assert len(world.made) == 6
    assert second.usage.cost == 10


@pytest.mark.parametrize("effect", [Effect.IDEMPOTENT, Effect.AT_MOST_ONCE])
async def test_a_finished_effect_is_not_repeated_by_any_try_whatever_its_number(effect: Effect) -> None:
    kept, world = Kept(), World()
    await make(kept.ledger(), world, "send", {"to": "a"}, effect=effect, output={"id": 1})
    second = kept.ledger(try_number=2)
    await make(second, world, "p:m", "something else first")
    assert await make(second, world, "send", {"to": "a"}, effect=effect) == {"id": 1}
    assert await make(second, world, "send", {"to": "a"}, effect=effect, output={"id": 2}) == {"id": 2}
    assert [name for name, _ in world.made].count("send") == 2


async def test_a_divergence_does_not_forget_effects() -> None:
    kept, world = Kept(), World()
    first = kept.ledger()
    await make(first, world, "p:m", 1)
    await make(first, world, "send", "x", effect=Effect.AT_MOST_ONCE, output="sent")
    await asyncio.sleep(0)
    again = kept.ledger()
    await make(again, world, "p:m", "another question")
    await make(again, world, "p:m", "and another")
    assert await make(again, world, "send", "x", effect=Effect.AT_MOST_ONCE) == "sent"
    await asyncio.sleep(0)
    third = kept.ledger()
    assert await make(third, world, "send", "x", effect=Effect.AT_MOST_ONCE) == "sent"
    assert [name for name, _ in world.made].count("send") == 1


@pytest.mark.parametrize("effect", [Effect.IDEMPOTENT, Effect.AT_MOST_ONCE])
async def test_the_intent_of_an_effect_is_durable_before_the_call(effect: Effect) -> None:
    kept, world = Kept(), World()
    kept.gate = asyncio.Event()
    calling = asyncio.ensure_future(make(kept.ledger(), world, "send", "x", effect=effect))
    await kept.arrived.wait()
    assert [call.status for call in kept.history] == ["started"]
    assert world.made == []
    kept.gate.set()
    await calling
    assert [call.status for call in kept.rows.values()] == ["finished"]


async def test_a_model_call_does_not_wait_for_its_record() -> None:
    kept, world = Kept(), World()
    kept.gate = asyncio.Event()
    ledger = kept.ledger()
    assert await make(ledger, world, "p:m", 1) == "out"
    assert kept.rows == {}
    kept.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(kept.rows) == 1


async def crash_during(kept: Kept, world: World, effect: Effect) -> str:
    """An effect that was begun, and whose owner died; the key that it had."""
    ledger = kept.ledger()
    call = ledger.place("tool", "send", "x", number=ledger.reserve(), effect=effect)
    begun = asyncio.Event()

    async def perform() -> Answer:
        world.made.append(("send", "x"))
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    calling = asyncio.ensure_future(ledger.answer(call, perform))
    await begun.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    return call.key


async def test_an_idempotent_effect_without_outcome_is_called_again_with_the_same_key() -> None:
    kept, world = Kept(), World()
    key = await crash_during(kept, world, Effect.IDEMPOTENT)
    for try_number in (1, 2):
        ledger = kept.ledger(try_number)
        call = ledger.place("tool", "send", "x", number=ledger.reserve(), effect=Effect.IDEMPOTENT)
        assert call.key == key
    assert await make(kept.ledger(), world, "send", "x", effect=Effect.IDEMPOTENT, output="sent") == "sent"
    assert [(call.status, call.output) for call in kept.rows.values()] == [("finished", "sent")]


@pytest.mark.parametrize("try_number", [1, 2])
async def test_an_at_most_once_effect_without_outcome_stops_the_step_in_doubt(try_number: int) -> None:
    kept, world = Kept(), World()
    key = await crash_during(kept, world, Effect.AT_MOST_ONCE)
    with pytest.raises(StepError) as caught:
        kept.ledger(try_number).stop_if_in_doubt()
    failure = caught.value.failure
    assert failure.code is FailureCode.IN_DOUBT
    assert not failure.retryable
    assert failure.details == {"tool": "send", "key": key}


async def test_no_at_most_once_call_follows_one_that_is_in_doubt() -> None:
    kept, world = Kept(), World()
    ledger = kept.ledger()
    error = StepError(FailureCode.TIMEOUT, "no answer")
    with pytest.raises(StepError) as caught:
        await make(ledger, world, "send", "x", effect=Effect.AT_MOST_ONCE, error=error)
    assert caught.value.failure.code is FailureCode.TIMEOUT
    assert not caught.value.failure.retryable
    assert caught.value.failure.details["in_doubt"] is True
    for arguments in ("x", "worded otherwise"):
        with pytest.raises(StepError) as refused:
            await make(ledger, world, "send", arguments, effect=Effect.AT_MOST_ONCE)
        assert refused.value.failure.code is FailureCode.IN_DOUBT
    assert await make(ledger, world, "look", "x", effect=Effect.READS) == "out"
    assert world.made == [("send", "x"), ("look", "x")]


@pytest.mark.parametrize("code", ["invalid_input", "refused", "rate_limited", "budget"])
async def test_an_at_most_once_tool_that_says_that_nothing_happened_may_be_called_again(code: str) -> None:
    kept, world = Kept(), World()
    error = StepError(FailureCode(code), "not now")
    with pytest.raises(StepError) as caught:
        await make(kept.ledger(), world, "send", "x", effect=Effect.AT_MOST_ONCE, error=error)
    assert caught.value is error
    second = kept.ledger(try_number=2)
    second.stop_if_in_doubt()
    assert await make(second, world, "send", "x", effect=Effect.AT_MOST_ONCE, output="sent") == "sent"
    assert len(world.made) == 2
    assert len({call.key for call in kept.history}) == 1
    assert len(kept.rows) == 1


async def test_an_effect_that_was_cancelled_before_it_was_called_is_not_in_doubt() -> None:
    kept, world = Kept(), World()
    kept.gate = asyncio.Event()
    calling = asyncio.ensure_future(make(kept.ledger(), world, "send", "x", effect=Effect.AT_MOST_ONCE))
    await kept.arrived.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    kept.gate.set()
    for _ in range(3):
        await asyncio.sleep(0)
    kept.ledger().stop_if_in_doubt()
    assert world.made == []


async def test_a_call_that_failed_is_made_again_under_its_old_key() -> None:
    kept, world = Kept(), World()
    ledger = kept.ledger()
    keys: list[str] = []
    for error in (StepError(FailureCode.UNAVAILABLE, "away"), None):
        call = ledger.place("tool", "put", "x", number=ledger.reserve(), effect=Effect.IDEMPOTENT)
        keys.append(call.key)
        try:
            await ledger.answer(call, world.performs("put", "x", "ok", error))
        except StepError:
            continue
    assert keys[0] == keys[1]
    assert [call.number for call in kept.rows.values()] == [1]


async def test_keys_differ_by_everything_but_the_attempt() -> None:
    base = (TASK, PATH, "tool", "send", fingerprint({"a": 1}), 1)
    keys = {
        idempotency_key(*base),
        idempotency_key(TaskId(UUID(int=8)), *base[1:]),
        idempotency_key(TASK, StepPath.parse("polish/critique"), *base[2:]),
        idempotency_key(TASK, PATH, "model", *base[3:]),
        idempotency_key(TASK, PATH, "tool", "sent", *base[4:]),
        idempotency_key(TASK, PATH, "tool", "send", fingerprint({"a": 2}), 1),
        idempotency_key(*base[:5], 2),
    }
    assert len(keys) == 7
    assert all(len(key) == 32 and key.isalnum() for key in keys)
    assert fingerprint({"b": 1, "a": [1, "ü"]}) == fingerprint({"a": (1, "ü"), "b": 1})


async def test_calls_that_are_gathered_are_found_again_whatever_order_they_end_in() -> None:
    kept, world = Kept(), World()

    async def ask(ledger: CallLedger, number: int, rounds: int) -> JsonValue:
        call = ledger.place("model", "p:m", rounds, number=number)
        for _ in range(rounds):
            await asyncio.sleep(0)
        return await ledger.answer(call, world.performs("p:m", rounds, rounds))

    for _ in range(2):
        ledger = kept.ledger()
        answers = await asyncio.gather(*[ask(ledger, ledger.reserve(), rounds) for rounds in (5, 1, 3)])
        assert answers == [5, 1, 3]
        await asyncio.sleep(0)
    assert len(world.made) == 3
    assert "call_diverged" not in kept.log.events


async def test_a_record_that_cannot_be_kept_breaks_the_ledger() -> None:
    kept, world = Kept(), World()
    ledger = kept.ledger()
    kept.failure = OSError("the database is away")
    await make(ledger, world, "p:m", 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ledger.broken is kept.failure
    with pytest.raises(OSError, match="away"):
        await make(ledger, world, "p:m", 2)


async def test_a_step_that_is_over_takes_no_calls() -> None:
    kept, world = Kept(), World()
    ledger = kept.ledger()
    ledger.close()
    with pytest.raises(RuntimeError, match="await every call within execute"):
        await make(ledger, world, "p:m", 1)


async def test_a_record_that_nobody_waits_for_is_handed_over_and_its_task_ends() -> None:
    kept, world = Kept(), World()
    kept.gate = asyncio.Event()
    ledger = kept.ledger()
    await make(ledger, world, "p:m", 1)
    ledger.close()
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(kept.history) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_record_survives_being_kept() -> None:
    call = RecordedCall(
        kind="tool",
        name="send",
        try_number=0,
        number=3,
        fingerprint="f",
        key="k",
        effect=Effect.AT_MOST_ONCE,
        failure=Failure(code=FailureCode.REFUSED, message="no", retry_after=1.5),
        usage=Usage(model="p:m", cost=None),
    )
    assert RecordedCall.from_row(call.to_row(PATH)) == call
