"""What the demonstration says before it starts, and which workflow it is."""

from __future__ import annotations

import pytest
from agentplat_cli.demo import demonstration, model_text

from agentplat import ModelProviderSpec, UsageError, WorkflowSpec
from agentplat.plugins.host import load_plugins
from agentplat.plugins.models import ModelChoice
from agentplat.plugins.registry import Registries, RegistryBuilder


def test_the_workflow_whose_spec_says_so_is_the_demonstration() -> None:
    builder = RegistryBuilder()
    builder.register(WorkflowSpec(name="another", file=__file__))
    builder.register(WorkflowSpec(name="shown", file=__file__, demo="How is it shown?"))
    assert demonstration(builder.build()).name == "shown"
    assert demonstration(load_plugins().registries).name == "research_assessment"


def test_without_one_the_distribution_that_has_it_is_named() -> None:
    with pytest.raises(UsageError, match="Install agentplat-workflows"):
        demonstration(Registries())


@pytest.mark.parametrize(
    ("generates", "leaves", "said"),
    [
        (False, False, "generates nothing, it selects what the documents say. No text leaves this machine."),
        (True, False, "generates text. No text leaves this machine."),
        (True, True, "generates text. The topic and passages of the documents are sent to another machine."),
    ],
)
def test_it_says_which_model_answers_and_where_text_goes(generates: bool, leaves: bool, said: str) -> None:
    provider = ModelProviderSpec(
        name="some",
        description="Some",
        factory="some:Some",
        default_model="one",
        generates=generates,
        leaves_machine=leaves,
    )
    assert model_text(ModelChoice(provider, "one")) == f"some:one: {said}"
