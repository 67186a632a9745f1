"""The tool `web_search`."""

from __future__ import annotations

import os
import re

from pydantic import ValidationError

from agentplat import Effect, FailureCode, Tool, ToolContext
from agentplat_tool_web_search.failures import KEY_VARIABLE, failure, no_key, refusal, unanswered
from agentplat_tool_web_search.results import read
from agentplat_tool_web_search.schema import Input, Output, Settings
from agentplat_tool_web_search.transport import Unanswered, get

__all__ = ["WebSearch"]

PATIENCE = 20.0  # seconds at most, or what is left of the step's time


class WebSearch(Tool[Input, Output]):
    """Asks the Brave Search API. The key is read from the environment at every call, and kept nowhere."""

    name = "web_search"
    effect = Effect.READS

    async def execute(self, input: Input, ctx: ToolContext) -> Output:
        key = _key()
        settings = _settings(ctx)
        try:
            answer = await get(
                f"{settings.base_url}/web/search",
                query={"q": input.query, "count": str(input.count), "text_decorations": "false"},
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",  # so that the bound on an answer is a bound on memory too
                    "User-Agent": "agentplat",
                    "X-Subscription-Token": key,
                },
                patience=min(PATIENCE, ctx.deadline),
            )
        except Unanswered as fault:
            raise unanswered(fault) from None
        if answer.status != 200:
            raise refusal(answer)
        return Output(results=read(answer.body, input.count))


def _key() -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise no_key()
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise failure(FailureCode.REFUSED, f"{KEY_VARIABLE} holds characters that no key has.")
    return key


def _settings(ctx: ToolContext) -> Settings:
    try:
        return Settings.model_validate({**ctx.settings, **ctx.config})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    raise failure(FailureCode.REFUSED, f"the settings do not fit: {faults}.")
