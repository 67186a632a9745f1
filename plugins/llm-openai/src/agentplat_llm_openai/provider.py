"""The provider: one chat request for one model request."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from dataclasses import replace
from typing import Any

from agentplat import FailureCode, ModelReply, ModelRequest, StepError
from agentplat_llm_openai import address
from agentplat_llm_openai.failures import Endpoint, refusal_of, unanswered
from agentplat_llm_openai.prices import bill
from agentplat_llm_openai.reading import completion, fault_of, fault_within, reply, status_of
from agentplat_llm_openai.rendering import LimitField, encoded, rendered, without
from agentplat_llm_openai.schema import Completion, Fault
from agentplat_llm_openai.transport import Answer, Transport, Unanswered

__all__ = ["OpenAIProvider"]

MAX_IDEMPOTENCY_KEY = 255
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")
_UNSUPPORTED = ("unsupported_parameter", "unsupported_value")


class OpenAIProvider:
    """Reaches one endpoint that speaks the OpenAI chat protocol. See the options of the presets for its keywords.

    The address is read from the environment once, here; the key at every call, and kept nowhere.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        url_variable: str,
        key_variable: str,
        key_required: bool = True,
        limit_field: LimitField = "max_tokens",
        asks_cost: bool = False,
    ) -> None:
        url = address.base_url(base_url, url_variable, os.environ)
        self._endpoint = Endpoint(name, url, url_variable, key_variable)
        self._problem = address.problem(url)
        self._key_required = key_required
        self._limit_field: LimitField = limit_field
        self._asks_cost = asks_cost
        self._transport = Transport()

    async def complete(self, request: ModelRequest) -> ModelReply:
        """The model's reply, with usage and cost. Raises StepError, as the contract of model providers says."""
        if self._problem is not None:
            text = f"the address in {self._endpoint.url_variable} {self._problem}."
            raise self._endpoint.failure(FailureCode.REFUSED, text)
        headers = self._headers(request)
        body = rendered(request, limit_field=self._limit_field, asks_cost=self._asks_cost)
        answer, adapted = await self._answer(body, headers, request)
        cost = await bill(answer.usage, model=request.model, url=self._endpoint.url)
        found = reply(self._endpoint, answer, cost, wants_json=request.output_schema is not None)
        return replace(found, metadata={**found.metadata, "adapted": adapted}) if adapted else found

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _answer(
        self, body: dict[str, Any], headers: dict[str, str], request: ModelRequest
    ) -> tuple[Completion, list[str]]:
        """The answer, and the names of the parameters that were left out or renamed because the model refused them."""
        adapted: list[str] = []
        loop = asyncio.get_running_loop()
        until = loop.time() + request.timeout
        while True:
            answer = await self._post(encoded(body), headers, request, until - loop.time())
            if 200 <= answer.status < 300:
                found = completion(self._endpoint, answer.body)
                fault = fault_within(found)
                if fault is None:
                    return found, adapted
                raise self._refusal(answer, status_of(fault), fault, request)
            fault = fault_of(answer.body)
            fitting = None
            if answer.status == 400 and fault is not None and fault.code in _UNSUPPORTED:
                fitting = without(body, fault.param)
            if fault is None or fitting is None:
                raise self._refusal(answer, answer.status, fault, request)
            adapted.append(str(fault.param))
            body = fitting

    async def _post(self, content: bytes, headers: dict[str, str], request: ModelRequest, patience: float) -> Answer:
        url = f"{self._endpoint.url}/chat/completions"
        try:
            return await self._transport.post(url, headers=headers, content=content, patience=patience)
        except Unanswered as fault:
            raise unanswered(self._endpoint, fault, request.timeout) from None

    def _refusal(self, answer: Answer, status: int, fault: Fault | None, request: ModelRequest) -> StepError:
        return refusal_of(self._endpoint, status=status, fault=fault, headers=answer.headers, model=request.model)

    def _headers(self, request: ModelRequest) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # so that the bound on an answer is a bound on memory too
            "Content-Type": "application/json",
            "User-Agent": "agentplat",
        }
        variable = self._endpoint.key_variable
        key = os.environ.get(variable, "").strip()
        if key and not _HEADER_VALUE.fullmatch(key):
            raise self._endpoint.failure(FailureCode.REFUSED, f"{variable} holds characters that no key has.")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        elif self._key_required:
            text = (
                f"no key. Set {variable} in the environment of the processes that run tasks, "
                "or choose another model with AGENTPLAT_MODEL=provider:model."
            )
            raise self._endpoint.failure(FailureCode.REFUSED, text)
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = _idempotency(request.idempotency_key)
        return headers


def _idempotency(key: str) -> str:
    """The key as a header can hold it: itself, or its digest."""
    if len(key) <= MAX_IDEMPOTENCY_KEY and _HEADER_VALUE.fullmatch(key):
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
