"""`ctx.llm`: model calls that are recorded, counted, bounded in time, and able to use the agent's tools."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from agentplat import telemetry
from agentplat.contracts.agent import Log
from agentplat.contracts.model import Message, ModelReply, ModelRequest, Passage, ToolDescription, ToolRequest
from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.usage import NO_USAGE, Usage
from agentplat.engine.steps.calls import Answer, CallLedger
from agentplat.engine.steps.capabilities import ModelEntry, Pricing
from agentplat.engine.steps.invocation import check_keepable, faults_of, json_text, misfit
from agentplat.engine.steps.toolbox import Toolbox

MAX_ROUNDS = 8
MAX_REQUESTS_A_ROUND = 15
CALL_TIMEOUT = 60.0
_MOST_OF_A_CALL = 10**12  # tokens, or micro-USD: nobody makes so many calls that a database could not add them up
_NUMBERS_A_ROUND = 1 + MAX_REQUESTS_A_ROUND
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_TOLD_TO_THE_MODEL = frozenset({FailureCode.INVALID_INPUT, FailureCode.TOOL_FAILED, FailureCode.REFUSED})
"""Failures of a tool that a model can do something about. Others end the call, for the step's retry policy."""

ModelT = TypeVar("ModelT")
Prompt = str | Sequence[Message]


@dataclass(frozen=True, slots=True)
class _Sampling:
    temperature: float | None
    max_tokens: int | None


class RecordedLlm:
    """The `Llm` of the contract."""

    def __init__(
        self,
        *,
        entry: ModelEntry,
        ledger: CallLedger,
        toolbox: Toolbox,
        pricing: Pricing,
        remaining: Callable[[], float],
        log: Log,
    ) -> None:
        self._entry, self._ledger, self._toolbox = entry, ledger, toolbox
        self._pricing, self._remaining, self._log = pricing, remaining, log
        self._has_warned = False

    @property
    def model(self) -> str:
        return self._entry.name

    @property
    def generates(self) -> bool:
        return self._entry.spec.generates

    # Not `async def`: a call's numbers are taken when it is written down, so that calls which are gathered get theirs
    # in the order of the program and are found again after a crash.
    def complete(
        self,
        prompt: Prompt,
        *,
        system: str | None = None,
        passages: Sequence[Passage] = (),
        tools: Sequence[str] = (),
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Coroutine[Any, Any, ModelReply]:
        request = self._request(prompt, system, passages, _Sampling(temperature, max_tokens))
        if not tools:
            return self._ask(request, self._ledger.reserve())
        return self._ask_with_tools(request, tools, self._ledger.reserve((MAX_ROUNDS + 1) * _NUMBERS_A_ROUND))

    def structured(
        self,
        prompt: Prompt,
        output: type[ModelT],
        *,
        system: str | None = None,
        passages: Sequence[Passage] = (),
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Coroutine[Any, Any, ModelT]:
        request = self._request(prompt, system, passages, _Sampling(temperature, max_tokens))
        return self._ask_structured(request, output, self._ledger.reserve())

    def fitting(
        self,
        prompt: Prompt,
        schema: JsonObject,
        *,
        system: str | None = None,
        passages: Sequence[Passage] = (),
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Coroutine[Any, Any, ModelReply]:
        """The call of `structured` without its reading, for whoever has the type: see `read_structured`."""
        request = self._request(prompt, system, passages, _Sampling(temperature, max_tokens))
        return self._ask(replace(request, output_schema=schema), self._ledger.reserve())

    def _request(
        self, prompt: Prompt, system: str | None, passages: Sequence[Passage], sampling: _Sampling
    ) -> ModelRequest:
        given = (Message(role="user", content=prompt),) if isinstance(prompt, str) else tuple(prompt)
        first = () if system is None else (Message(role="system", content=system),)
        return ModelRequest(
            model=self._entry.model,
            messages=(*first, *given),
            passages=tuple(passages),
            temperature=sampling.temperature,
            max_tokens=sampling.max_tokens,
        )

    async def _ask_structured(self, request: ModelRequest, output: type[ModelT], number: int) -> ModelT:
        adapter: TypeAdapter[ModelT] = TypeAdapter(output)
        reply = await self._ask(replace(request, output_schema=adapter.json_schema()), number)
        return read_structured(reply, adapter, self.model)

    async def _ask_with_tools(self, request: ModelRequest, tools: Sequence[str], number: int) -> ModelReply:
        request = replace(request, tools=self._toolbox.describe(tools))
        usage = NO_USAGE
        for first in range(number, number + MAX_ROUNDS * _NUMBERS_A_ROUND, _NUMBERS_A_ROUND):
            reply = await self._ask(request, first)
            usage += reply.usage
            if not reply.tool_requests:
                return replace(reply, usage=usage)
            answers = [
                await self._use_tool(asked, tools, first + 1 + index) for index, asked in enumerate(reply.tool_requests)
            ]
            said = Message(role="assistant", content=reply.text, tool_requests=reply.tool_requests)
            request = replace(request, messages=(*request.messages, said, *answers))
        # Out of rounds: without tools on offer it has to answer with what it has learnt.
        reply = await self._ask(replace(request, tools=()), number + MAX_ROUNDS * _NUMBERS_A_ROUND)
        if reply.tool_requests:
            raise StepError(
                FailureCode.INVALID_OUTPUT, f"{self.model} still asked for tools after {MAX_ROUNDS} rounds of them."
            )
        return replace(reply, usage=usage + reply.usage)

    async def _use_tool(self, asked: ToolRequest, allowed: Sequence[str], number: int) -> Message:
        try:
            if asked.tool not in allowed:
                raise self._toolbox.unknown(asked.tool, allowed)
            content = json_text(await self._toolbox.call_as(asked.tool, asked.arguments, number))
        except StepError as error:
            if error.failure.code not in _TOLD_TO_THE_MODEL or error.failure.details.get("in_doubt"):
                raise
            self._log.info("tool_refused_to_model", tool=asked.tool, code=error.failure.code.value)
            content = json_text({"error": error.failure.message})
        return Message(role="tool", content=content, tool_request_id=asked.id)

    async def _ask(self, request: ModelRequest, number: int) -> ModelReply:
        call = self._ledger.place("model", self.model, _content(request), number=number)

        async def perform() -> Answer:
            reply = await self._reach(replace(request, idempotency_key=call.key))
            usage = self._priced(reply.usage)
            telemetry.MODEL_TOKENS.labels(self.model, "input").inc(usage.input_tokens)
            telemetry.MODEL_TOKENS.labels(self.model, "output").inc(usage.output_tokens)
            try:
                output = self._accepted(reply)
            except StepError:
                self._ledger.usage += usage  # it was paid for all the same
                raise
            return Answer({**output, "usage": usage.to_json()}, usage)

        return _reply(await self._ledger.answer(call, perform))

    def _priced(self, said: object) -> Usage:
        """What the provider says that was used, at the price that was agreed. What cannot be is unknown."""
        if not (isinstance(said, Usage) and _is_amount(said.input_tokens) and _is_amount(said.output_tokens)):
            if not self._has_warned:
                self._log.warning("usage_unknown", model=self.model)
            self._has_warned = True
            return Usage(model=self.model, cost=None)
        named = replace(said, model=self.model)
        agreed = self._pricing(self.model, named)
        cost = named.cost if agreed is None else agreed
        return replace(named, cost=cost if _is_amount(cost) else None)

    def _accepted(self, reply: ModelReply) -> dict[str, JsonValue]:
        """The reply as it is kept. StepError `invalid_output` when it is too much, or cannot be."""
        if len(reply.tool_requests) > MAX_REQUESTS_A_ROUND:
            raise StepError(
                FailureCode.INVALID_OUTPUT,
                f"{self.model} asked for {len(reply.tool_requests)} tools at once; {MAX_REQUESTS_A_ROUND} are allowed.",
            )
        output = _kept(reply)
        check_keepable(output, f"The reply of {self.model}")
        return output

    async def _reach(self, request: ModelRequest) -> ModelReply:
        timeout = min(CALL_TIMEOUT, self._remaining())
        try:
            async with asyncio.timeout(timeout):
                return await self._entry.provider.complete(replace(request, timeout=timeout))
        except StepError:
            raise
        except TimeoutError:
            raise StepError(FailureCode.TIMEOUT, f"{self.model} did not answer within {timeout:.0f} s.") from None
        # A provider is foreign code. The text of what it raised is left out: it may hold the prompt, or a key.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            raise StepError(FailureCode.UNAVAILABLE, f"{self.model} failed with {type(error).__name__}.") from None


def _is_amount(said: object) -> bool:
    return type(said) is int and 0 <= said <= _MOST_OF_A_CALL


def read_structured(reply: ModelReply, adapter: TypeAdapter[ModelT], model: str) -> ModelT:
    """The instance that the reply's text describes, bare or in a JSON fence. StepError `invalid_output` if none."""
    if reply.finish_reason == "refused":
        raise StepError(FailureCode.REFUSED, f"{model} refused to answer.")
    fenced = _FENCE.search(reply.text)
    text = fenced.group(1) if fenced else reply.text
    try:
        return adapter.validate_json(text.strip())
    except ValidationError as error:
        cut = f" The reply was cut at its limit of tokens ({model})." if reply.finish_reason == "length" else ""
        wrong = misfit(FailureCode.INVALID_OUTPUT, f"The structured reply of {model}", faults_of(error))
        raise StepError(
            FailureCode.INVALID_OUTPUT, wrong.failure.message + cut, details=wrong.failure.details
        ) from None


def _content(request: ModelRequest) -> dict[str, JsonValue]:
    """All of the request that the reply depends on."""
    return {
        "messages": [_message(message) for message in request.messages],
        "passages": [{"source": passage.source, "text": passage.text} for passage in request.passages],
        "tools": [_description(tool) for tool in request.tools],
        "output_schema": request.output_schema,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
    }


def _description(tool: ToolDescription) -> JsonObject:
    return {"name": tool.name, "description": tool.description, "schema": tool.schema}


def _message(message: Message) -> JsonObject:
    return {
        "role": message.role,
        "content": message.content,
        "tool_requests": [_asked(asked) for asked in message.tool_requests],
        "tool_request_id": message.tool_request_id,
    }


def _asked(asked: ToolRequest) -> JsonObject:
    return {"id": asked.id, "tool": asked.tool, "arguments": asked.arguments}


def _kept(reply: ModelReply) -> dict[str, JsonValue]:
    return {
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "tool_requests": [_asked(asked) for asked in reply.tool_requests],
        "metadata": reply.metadata,
    }


def _reply(kept: JsonValue) -> ModelReply:
    """The reply that `_kept` wrote down, with its usage."""
    content: Any = kept
    return ModelReply(
        text=content["text"],
        usage=Usage.from_json(content["usage"]),
        finish_reason=content["finish_reason"],
        tool_requests=tuple(ToolRequest(**asked) for asked in content["tool_requests"]),
        metadata=content["metadata"],
    )
