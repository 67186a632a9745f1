"""The host over modules that are given to it, without installing anything."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest

from agentplat import AgentSpec, InterfaceSpec, hookimpl
from agentplat.contracts.interface import StepView
from agentplat.domain.task import TaskState
from agentplat.domain.usage import NO_USAGE
from agentplat.plugins.host import host_modules

from . import observer

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Failing:
    API_LEVEL = 1

    @hookimpl
    def agentplat_process_started(self) -> None:
        raise RuntimeError("no gauge")


def interface(name: str, prefix: str) -> SimpleNamespace:
    @hookimpl
    def agentplat_interfaces() -> list[InterfaceSpec]:
        return [InterfaceSpec(name=name, description="", factory="a:b", prefix=prefix)]

    return SimpleNamespace(API_LEVEL=1, agentplat_interfaces=agentplat_interfaces)


def agents(*names: str) -> SimpleNamespace:
    @hookimpl
    def agentplat_agents() -> list[AgentSpec]:
        return [AgentSpec(name=name, description="", factory="a:b") for name in names]

    return SimpleNamespace(API_LEVEL=1, agentplat_agents=agentplat_agents)


def test_an_observer_is_told_what_happened() -> None:
    observers = host_modules({"watch": observer}).observers
    step = StepView(
        id=uuid4(),
        task_id=uuid4(),
        path="one",
        kind="agent",
        target="greeter",
        iteration=1,
        attempt=1,
        status=TaskState.DONE,
        input=None,
        output=None,
        failure=None,
        usage=NO_USAGE,
        created_at=NOON,
        updated_at=NOON,
    )
    observer.seen.clear()

    observers.process_started("worker")
    observers.step_changed(step)

    assert observer.seen == ["worker", step]


def test_a_failing_observer_is_logged_and_counted_and_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    observers = host_modules({"a_fails": Failing(), "watch": observer}).observers
    observer.seen.clear()

    with caplog.at_level(logging.WARNING):
        observers.process_started("api")

    assert observer.seen == ["api"]
    assert observers.failures == {"a_fails": 1}
    assert [(record.message, record.__dict__["plugin"]) for record in caplog.records] == [
        ("observer_failed", "a_fails")
    ]


def test_it_is_known_whether_anybody_watches() -> None:
    watched, unwatched = host_modules({"watch": observer}).observers, host_modules({"a": Failing()}).observers

    assert (watched.watches_tasks, watched.watches_steps) == (True, True)
    assert (unwatched.watches_tasks, unwatched.watches_steps) == (False, False)


def test_two_interfaces_cannot_share_a_prefix() -> None:
    plugins = host_modules({"one": interface("one", "/ui"), "two": interface("two", "/ui")})

    assert [record.reason for record in plugins.records] == [
        "offers the prefix '/ui', and so does two; switch off all but one (plugins_deny)",
        "offers the prefix '/ui', and so does one; switch off all but one (plugins_deny)",
    ]


def test_a_conflict_rejects_all_that_take_part_in_it_whatever_their_order() -> None:
    plugins = host_modules({"a": agents("x", "mine"), "b": agents("x", "y"), "c": agents("y"), "d": agents("z")})

    assert [record.state.value for record in plugins.records] == ["rejected", "rejected", "rejected", "active"]
    assert plugins.registries.agents.names == ("z",)


def test_a_plugin_that_offers_one_name_twice_is_rejected() -> None:
    (record,) = host_modules({"a": agents("x", "x")}).records

    assert record.reason == "agentplat_agents returned 'x' twice"


def test_what_is_offered_says_where_it_comes_from() -> None:
    registries = host_modules({"d": agents("z")}).registries

    assert registries.agents.offer("z").origin == "plugin d"
