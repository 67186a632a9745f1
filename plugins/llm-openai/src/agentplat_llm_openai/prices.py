"""What a call used and cost. Money is in whole micro-USD, rounded up; an unknown cost is None, never nought."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from agentplat import JsonValue, Usage
from agentplat_llm_openai.address import stays_on_machine

__all__ = ["Bill", "Tokens", "bill", "read_tokens"]

MAX_TOKENS = 10**9  # of one call; what claims more is a fault of the other side
MAX_DOLLARS = 10_000  # likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    input: int
    output: int
    cached: int = 0  # of the input ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    usage: Usage
    remarks: Mapping[str, JsonValue]  # for the reply's metadata: where the numbers come from, and what was wrong


def read_tokens(usage: Any) -> Tokens | None:
    """The token counts of a reply's `usage`; None when they are missing or cannot be true."""
    if not isinstance(usage, Mapping):
        return None
    sent, received = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if sent is None or received is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    return Tokens(input=sent, output=received, cached=min(cached or 0, sent))


async def bill(usage: Any, *, model: str, url: str) -> Bill:
    """Usage and cost of a call: what the reply says it cost, else the price list, else unknown."""
    tokens = read_tokens(usage)
    remarks: dict[str, JsonValue] = {}
    if tokens is None:
        remarks["usage"] = "missing" if usage is None else "unreadable"
    cost = _charged(usage)
    if cost is not None:
        remarks["cost_from"] = "reply"
    elif tokens is not None and not stays_on_machine(url):
        # In a thread: the first call imports the price list, which takes half a second.
        cost, version = await asyncio.to_thread(_listed, tokens, model, url)
        if cost is not None:
            remarks["cost_from"] = f"genai-prices {version}"
    counted = tokens or Tokens(input=0, output=0)
    return Bill(usage=Usage(input_tokens=counted.input, output_tokens=counted.output, cost=cost), remarks=remarks)


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= MAX_TOKENS or value != int(value):
        return None
    return int(value)


def _charged(usage: Any) -> int | None:
    """The cost that OpenRouter states. With a key of the user's own, what the model's maker charges comes on top."""
    if not isinstance(usage, Mapping):
        return None
    charged = _dollars(usage.get("cost"))
    if charged is None:
        return None
    if usage.get("is_byok") is not True:
        return _micro(charged)
    details = usage.get("cost_details")
    upstream = _dollars(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
    return None if upstream is None else _micro(charged + upstream)


def _dollars(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    # Through its shortest text, which is what was sent: the float 0.00014 is a little more than that.
    return Decimal(str(value)) if 0 <= value <= MAX_DOLLARS else None


def _micro(dollars: Decimal) -> int:
    return int((dollars * 1_000_000).to_integral_value(ROUND_CEILING))


def _listed(tokens: Tokens, model: str, url: str) -> tuple[int | None, str]:
    import genai_prices  # here: half a second that a call without it need not pay

    version = genai_prices.__version__
    used = genai_prices.Usage(input_tokens=tokens.input, output_tokens=tokens.output, cache_read_tokens=tokens.cached)
    try:
        price = genai_prices.calc_price(used, model, provider_api_url=url)
    except (LookupError, ValueError):  # an endpoint, model or unit that the list does not have
        return None, version
    return _micro(price.total_price), version
