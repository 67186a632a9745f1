from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from agentplat import (
    AgentSpec,
    CheckSpec,
    CommandSpec,
    Effect,
    InterfaceSpec,
    JsonValue,
    ModelProviderSpec,
    StepError,
    StrategySpec,
    ToolSpec,
    WorkflowSpec,
)
from agentplat.domain.errors import UnknownName
from agentplat.plugins.offers import OfferInvalid, Spec
from agentplat.plugins.registry import Registries, RegistryBuilder
from agentplat.plugins.targets import load_target

from . import offered

HERE = offered.__name__
GREETER = AgentSpec(name="greeter", description="Greets", factory=f"{HERE}:Greeter", tools=("adder",))
ADDER = ToolSpec(name="adder", description="Adds", factory=f"{HERE}:Adder", effect=Effect.PURE)
AT_ONCE = StrategySpec(name="at_once", description="Ends", factory=f"{HERE}:AtOnce")
FAKE = ModelProviderSpec(
    name="fake", description="", factory=f"{HERE}:Provider", default_model="tiny", options={"base": "x"}
)


def registries(*specs: Spec) -> Registries:
    builder = RegistryBuilder()
    for spec in specs:
        builder.register(spec)
    return builder.build()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName) as caught:
        registries(GREETER).agent("greeterr")

    assert caught.value.detail == "Agent 'greeterr' not found. Available agents: greeter."


def test_a_registry_gives_specs_in_the_order_of_their_names() -> None:
    agents = registries(GREETER, replace(GREETER, name="adam")).agents

    assert agents.names == ("adam", "greeter")
    assert [spec.name for spec in agents] == ["adam", "greeter"]
    assert ("greeter" in agents, "x" in agents, len(agents)) == (True, False, 2)
    assert agents.offer("adam").origin == "code"


def test_one_instance_is_kept_per_process_and_configuration() -> None:
    known = registries(GREETER, ADDER, AT_ONCE, FAKE)

    assert known.agent("greeter") is known.agent("greeter")
    assert known.tool("adder") is known.tool("adder")
    assert known.strategy("at_once") is known.strategy("at_once")
    assert known.model_provider("fake") is known.model_provider("fake")


def test_fresh_makes_another_instance() -> None:
    known = registries(GREETER, ADDER)

    assert known.fresh_agent("greeter") is not known.agent("greeter")
    assert known.fresh_tool("adder") is not known.tool("adder")


def test_the_next_generation_keeps_the_instances_of_what_did_not_change() -> None:
    first = registries(GREETER, FAKE)
    builder = RegistryBuilder(first)
    builder.register(replace(GREETER, config={"polite": True}, replaces=True))
    second = builder.build()

    assert second.model_provider("fake") is first.model_provider("fake")
    assert second.agent("greeter") is not first.agent("greeter")
    assert first.agents.spec("greeter").config == {}


def test_a_model_provider_gets_its_options() -> None:
    assert cast("offered.Provider", registries(FAKE).model_provider("fake")).base == "x"


async def test_closing_ends_every_provider_also_after_one_that_fails() -> None:
    stuck = replace(FAKE, name="a_stuck", options={"breaks": True})
    known = registries(stuck, FAKE)
    known.model_provider("a_stuck")
    provider = cast("offered.Provider", known.model_provider("fake"))

    await known.aclose()

    assert provider.closed
    assert known.model_provider("fake") is not provider


def test_a_prompt_only_agent_is_made_of_its_entry() -> None:
    entry: dict[str, JsonValue] = {"name": "poet", "prompt": "Write"}
    spec = AgentSpec(name="poet", description="", factory=f"{HERE}:FromEntry", prompt=entry)
    known = registries(spec)

    assert cast("offered.FromEntry", known.agent("poet")).entry == entry
    assert known.pinned_agent(spec) is known.agent("poet")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (replace(GREETER, name="other"), "has name 'greeter', but its spec says 'other'"),
        (replace(GREETER, tools=()), "has tools ('adder',), but its spec says ()"),
        (replace(GREETER, factory=f"{HERE}:Adder"), "is not a subclass of agentplat.Agent"),
        (replace(GREETER, factory=f"{HERE}:Nobody"), "cannot be imported: AttributeError"),
        (replace(GREETER, factory="no_such_module:X"), "cannot be imported: ModuleNotFoundError"),
        (replace(GREETER, factory=f"{HERE}:Unmakable"), "cannot be made: OSError: no disk"),
    ],
)
def test_an_agent_that_is_not_what_its_spec_says_is_refused_at_first_use(spec: AgentSpec, reason: str) -> None:
    with pytest.raises(OfferInvalid) as caught:
        registries(spec).agent(spec.name)

    assert reason in caught.value.detail


def test_a_tool_must_have_the_effect_that_its_spec_says() -> None:
    with pytest.raises(OfferInvalid, match=r"has effect .*PURE.*, but its spec says .*READS"):
        registries(replace(ADDER, effect=Effect.READS)).tool("adder")


def test_a_strategy_must_have_the_name_that_its_spec_says() -> None:
    with pytest.raises(OfferInvalid, match="has name 'at_once', but its spec says 'later'"):
        registries(replace(AT_ONCE, name="later")).strategy("later")


def test_a_provider_without_its_methods_is_refused() -> None:
    with pytest.raises(OfferInvalid, match="no `async def complete`"):
        registries(replace(FAKE, factory=f"{HERE}:no_provider", options={})).model_provider("fake")


def test_a_provider_may_say_itself_why_it_cannot_be_made() -> None:
    with pytest.raises(StepError, match="no key"):
        registries(replace(FAKE, factory=f"{HERE}:no_key", options={})).model_provider("fake")


def test_what_could_not_be_made_is_tried_again() -> None:
    known = registries(replace(GREETER, factory=f"{HERE}:Unmakable"))

    for _ in range(2):
        with pytest.raises(OfferInvalid, match="no disk"):
            known.agent("greeter")


def test_an_entry_may_give_a_class_another_name() -> None:
    builder = RegistryBuilder()
    builder.register(replace(GREETER, name="welcome", tools=()), origin="agents.yaml:2", renamed=True)

    assert isinstance(builder.build().agent("welcome"), offered.Greeter)


def test_a_taken_name_is_refused_unless_the_new_one_replaces_it() -> None:
    builder = RegistryBuilder(registries(GREETER))

    with pytest.raises(OfferInvalid, match=r"Agent 'greeter' is offered by code already. Say `replaces: true`"):
        builder.register(GREETER)

    builder.register(replace(GREETER, description="Mine", replaces=True))
    assert builder.build().agents.spec("greeter").description == "Mine"


def test_a_convergence_check_is_called_by_name() -> None:
    known = registries(CheckSpec(name="is_true", description="", check=lambda output, options: output is True))

    assert known.check("is_true")(True, {})


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (replace(GREETER, name="Greeter"), "name 'Greeter' does not match"),
        (replace(GREETER, name=cast("str", None)), "name None does not match"),
        (replace(GREETER, factory="somewhere.Greeter"), "factory 'somewhere.Greeter' is not of the form 'module:name'"),
        (replace(GREETER, tools=cast("tuple[str, ...]", "adder")), "tools 'adder' is not a tuple of names"),
        (replace(GREETER, description=cast("str", 3)), "description 3 is not text"),
        (replace(GREETER, config={"x": float("nan")}), "config /x is nan, which JSON cannot express"),
        (replace(GREETER, config=cast("dict[str, JsonValue]", [])), "config [] is not a mapping"),
        (replace(ADDER, effect=cast("Effect", "pure")), "effect 'pure' is not an Effect"),
        (replace(FAKE, rank=cast("int", "high")), "rank 'high' is not a whole number"),
        (CheckSpec(name="x", description="", check=cast("type[bool]", 3)), "check 3 cannot be called"),
        (WorkflowSpec(name="x", file="here.yaml"), "file 'here.yaml' is not the absolute path of a file"),
        (InterfaceSpec(name="x", description="", factory="a:b", prefix="ui"), "prefix 'ui' is not '/' or a path"),
        (CommandSpec(name="x", help="", target="a"), "target 'a' is not of the form 'module:name'"),
    ],
)
def test_a_spec_with_a_value_of_the_wrong_kind_is_refused(spec: Spec, reason: str) -> None:
    with pytest.raises(OfferInvalid) as caught:
        registries(spec)

    assert reason in caught.value.detail


def test_what_is_no_spec_is_refused() -> None:
    with pytest.raises(OfferInvalid, match="not one of AgentSpec"):
        registries(cast("Spec", Path()))


def test_a_target_may_lie_inside_a_class() -> None:
    assert load_target(f"{HERE}:Provider.complete") is offered.Provider.complete
