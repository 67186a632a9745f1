"""What steps can be besides calls of agents and tools, and what the workflow says of itself: read, and normalised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from agentplat.domain.interpreter.children import MAX_KEY
from agentplat.domain.json import JsonValue
from agentplat.language.cron import fault_of_cron, zone_of
from agentplat.language.nodes import Node
from agentplat.language.parts import NormalForm
from agentplat.language.references import OF_A_SCHEDULE, check_template, refuse_expressions
from agentplat.language.schema import read_input
from agentplat.language.syntax import OPEN

MAX_PARALLEL = 200
USUAL_PARALLEL = 10
MAX_AT_A_TIME = 10_000
ON_TIMEOUT = ("reject", "approve", "fail")
ANSWERED = ("approved", "by")
"""What every approval gives, so that no form can ask for it."""


def read_wait(node: Node) -> NormalForm:
    """A duration, a time or a signal."""
    if not node.keys({"duration", "until", "signal", "timeout"}):
        return {}
    if sum(key in node for key in ("duration", "until", "signal")) != 1:
        node.refuse("wrong_body", "a wait has one of `duration`, `until` and `signal`")
    if "signal" not in node and "timeout" in node:
        node["timeout"].refuse_key("wrong_body", "only a wait for a `signal` has a `timeout`")
    until = node["until"]
    if until.value is not None and not (isinstance(until.value, str) and OPEN in until.value) and not _is_time(until):
        until.refuse("invalid_time", "`until` is not a time", "write 2026-03-01T07:00:00Z, or an expression")
    parts: NormalForm = {
        "duration": node["duration"].duration(),
        "until": until.value,
        "signal": node["signal"].name(),
        "timeout": node["timeout"].duration(),
    }
    return {key: value for key, value in parts.items() if value is not None}


def _is_time(node: Node) -> bool:
    try:
        return isinstance(node.value, str) and bool(datetime.fromisoformat(node.value))
    except ValueError:
        return False


def read_approval(node: Node) -> NormalForm:
    """A question to somebody."""
    if not node.keys({"message", "form", "assignee", "timeout", "on_timeout"}):
        return {}
    if node["message"].text() is None and node["message"].value is None:
        node.refuse("missing_key", "an approval needs a `message`: what is asked")
    form = read_input(node["form"])
    properties = form.get("properties") if form is not None else None
    for name in properties if isinstance(properties, Mapping) else ():
        if name in ANSWERED:
            place = node["form"]["properties"] if name not in node["form"] else node["form"]
            place[name].refuse_key("reserved_name", f"every answer has `{name}` already", "give it another name")
    refuse_expressions(node["form"])
    on_timeout = node["on_timeout"].known("on_timeout", ON_TIMEOUT)
    if on_timeout is not None and "timeout" not in node:
        node["on_timeout"].refuse_key("missing_key", "`on_timeout` needs a `timeout`", "say how long it may take")
    parts: NormalForm = {
        "message": node["message"].text(),
        "form": form,
        "assignee": node["assignee"].text(),
        "timeout": node["timeout"].duration(),
        "on_timeout": on_timeout or "fail",
    }
    return {key: value for key, value in parts.items() if value is not None}


def read_emit(node: Node) -> NormalForm:
    """What is told to whoever listens."""
    if not node.keys({"event", "data"}):
        return {}
    event = node["event"].name()
    if node["event"].value is None:
        node.refuse("missing_key", "`emit` needs an `event`: a name")
    return {"event": event} | ({} if node["data"].value is None else {"data": node["data"].value})


def read_dispatch(node: Node) -> NormalForm:
    """Where the tasks of a step run, and how many of them at a time."""
    form: NormalForm = {}
    queue = node["queue"].text()
    refuse_expressions(node["queue"])
    if queue is not None and not 0 < len(queue) <= MAX_KEY:
        node["queue"].refuse("out_of_range", f"`queue` is a name of 1 to {MAX_KEY} characters")
    elif queue is not None:
        form["queue"] = queue
    limited = node["concurrency"]
    if limited.value is None or not limited.keys({"key", "limit"}):
        return form
    for key, what in (("key", "what its tasks have in common, such as `${{ input.topic }}`"), ("limit", "a number")):
        if limited[key].value is None:
            limited.refuse("missing_key", f"`concurrency` needs a `{key}`: {what}")
    limit = limited["limit"].number(1, MAX_AT_A_TIME, whole=True)
    return form | {"concurrency": {"key": limited["key"].text(), "limit": limit}}


def read_foreach(node: Node) -> NormalForm:
    """What a step with `foreach` says of its items."""
    most = node["max_parallel"].number(1, MAX_PARALLEL, whole=True)
    items = node["foreach"].value
    if not isinstance(items, list) and not (isinstance(items, str) and OPEN in items):
        node["foreach"].refuse("wrong_type", "`foreach` needs a list, or an expression that gives one")
    return {"items": items, "max_parallel": most or USUAL_PARALLEL, "join": _join(node["join"])}


def _join(node: Node) -> JsonValue:
    if isinstance(node.value, dict):
        node.keys({"n_of"})
        return node["n_of"].number(1, 10_000, whole=True) or "all"
    return node.known("join", ("all", "settled", "any")) or "all"


def read_budget(node: Node) -> NormalForm:
    """How much money and how many tokens the task may use."""
    usd, tokens = node["usd"].number(0.000001, 1_000_000), node["tokens"].number(1, 10**12, whole=True)
    return {key: value for key, value in (("usd", usd), ("tokens", tokens)) if value is not None}


CATCH_UP = ("skip", "last", "all")
MOST_CAUGHT_UP = 1000


def read_schedule(node: Node) -> NormalForm | None:
    """When the workflow runs by itself: a cron expression of five fields, in a timezone."""
    if node.value is None or not node.keys({"cron", "timezone", "catch_up", "catch_up_limit", "input"}):
        return None
    cron, zone = node["cron"].text(), node["timezone"].text() or "UTC"
    if cron is None:
        node.refuse("missing_key", "a schedule needs `cron`", '`cron: "0 7 * * 1-5"` is at seven on working days')
    else:
        fault = fault_of_cron(cron)
        if fault:
            node["cron"].refuse("invalid_cron", fault, "five fields: minute, hour, day of month, month, day of week")
    if zone_of(zone) is None:
        node["timezone"].refuse(
            "unknown_timezone", f"there is no timezone `{zone}`", "write one like Europe/Copenhagen"
        )
    catch_up = node["catch_up"].known("catch_up", CATCH_UP)
    limit = node["catch_up_limit"].number(1, MOST_CAUGHT_UP, whole=True)
    if limit is not None and catch_up != "all":
        node["catch_up_limit"].refuse_key("missing_key", "`catch_up_limit` needs `catch_up: all`", "say both, or none")
    check_template(node["input"], OF_A_SCHEDULE)
    given = node["input"].value if node["input"].value is None or node["input"].is_map() else None
    said: NormalForm = {"catch_up": catch_up, "catch_up_limit": limit, "input": given}
    return {"cron": " ".join((cron or "").split()), "timezone": zone} | {
        key: value for key, value in said.items() if value is not None
    }
