import json

from hypothesis import given
from hypothesis import strategies as st

from agentplat.domain.usage import NO_USAGE, Usage

from .profiles import tried
from .values import usages


@given(st.lists(usages(), max_size=6))
@tried(0.25)
def test_a_total_is_known_only_if_every_part_is(parts: list[Usage]) -> None:
    total = Usage.total(parts)

    costs = [part.cost for part in parts]
    assert total.cost == (None if None in costs else sum(cost or 0 for cost in costs))
    assert total.input_tokens == sum(part.input_tokens for part in parts)
    assert total.output_tokens == sum(part.output_tokens for part in parts)


def test_an_unknown_cost_is_never_nought() -> None:
    unknown, known = Usage(input_tokens=5, cost=None), Usage(input_tokens=7, cost=300)

    assert Usage(input_tokens=12, cost=None) == unknown + known == known + unknown
    assert Usage(cost=0) == Usage.total([])


def test_a_total_names_the_last_model_that_is_known() -> None:
    total = Usage.total([Usage(model="a:1"), Usage(model="b:2"), NO_USAGE])

    assert total.model == "b:2"


@given(usages(), usages(), usages())
@tried(0.2)
def test_it_does_not_matter_how_a_sum_is_grouped(a: Usage, b: Usage, c: Usage) -> None:
    assert (a + b) + c == a + (b + c)
    assert a == a + NO_USAGE == NO_USAGE + a or a.model == ""  # an empty name is no name


@given(usages())
@tried(0.2)
def test_usage_survives_being_kept(usage: Usage) -> None:
    assert usage == Usage.from_json(json.loads(json.dumps(usage.to_json())))


def test_usage_that_was_kept_without_a_cost_has_an_unknown_one() -> None:
    assert Usage(model="a:1", input_tokens=3, cost=None) == Usage.from_json({"model": "a:1", "input_tokens": 3})
