from __future__ import annotations

import pytest

from agentplat import ModelProviderSpec
from agentplat.domain.errors import SettingsInvalid, UnknownName
from agentplat.plugins.registry import Registries, RegistryBuilder


def provider(name: str, rank: int, *requires: str, automatic: bool = True) -> ModelProviderSpec:
    return ModelProviderSpec(
        name=name,
        description="",
        factory="nowhere:nothing",
        default_model=f"{name}-small",
        rank=rank,
        requires=requires,
        automatic=automatic,
    )


def known(*providers: ModelProviderSpec) -> Registries:
    builder = RegistryBuilder()
    for spec in providers:
        builder.register(spec)
    return builder.build()


THREE = known(provider("embedded", 0), provider("cloud", 20, "CLOUD_KEY"), provider("local", 30, automatic=False))


def test_the_configured_provider_of_highest_rank_is_the_default() -> None:
    assert str(THREE.default_model({"CLOUD_KEY": "k"})) == "cloud:cloud-small"


@pytest.mark.parametrize("env", [{}, {"CLOUD_KEY": ""}])
def test_a_provider_without_its_variables_is_passed_over(env: dict[str, str]) -> None:
    assert str(THREE.default_model(env)) == "embedded:embedded-small"


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("local:llama3.2:1b", "local:llama3.2:1b"),
        ("local", "local:local-small"),
        ("cloud:org/model", "cloud:org/model"),
    ],
)
def test_a_named_model_wins_over_rank_and_configuration(text: str, choice: str) -> None:
    assert str(THREE.default_model({}, text)) == choice


def test_an_unknown_provider_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="Available model providers: cloud, embedded, local"):
        THREE.model("clod:x")


def test_a_provider_with_a_colon_and_no_model_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="has a colon but no model"):
        THREE.model("cloud:")


def test_without_a_configured_provider_the_error_says_what_to_set() -> None:
    with pytest.raises(SettingsInvalid, match=r"cloud needs CLOUD_KEY.*AGENTPLAT_MODEL=provider:model"):
        known(provider("cloud", 20, "CLOUD_KEY")).default_model({})


def test_two_providers_of_one_rank_are_not_decided_by_chance() -> None:
    with pytest.raises(SettingsInvalid, match="a, b are configured and of one rank"):
        known(provider("a", 1), provider("b", 1)).default_model({})
