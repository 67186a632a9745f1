"""Strategies for the values of the domain: all that can be kept, and nothing else."""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st

from agentplat.domain.failure import LONGEST_RETRY_AFTER, Failure, FailureCode
from agentplat.domain.ids import ExecutionId, StepPath
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.usage import Usage


def texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


def json_values() -> st.SearchStrategy[JsonValue]:
    leaves: st.SearchStrategy[JsonValue] = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        texts(),
    )
    return st.recursive(leaves, _containers, max_leaves=8)


def _containers(inner: st.SearchStrategy[JsonValue]) -> st.SearchStrategy[JsonValue]:
    return st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts(), inner, max_size=4))


def json_objects() -> st.SearchStrategy[JsonObject]:
    return st.dictionaries(texts(), json_values(), max_size=3)


def names() -> st.SearchStrategy[str]:
    return st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


def paths() -> st.SearchStrategy[StepPath]:
    parts = st.tuples(names() | st.sampled_from(["@finally", "@catch_2"]), st.integers(1, 12_000))
    items = st.tuples(st.just("[]"), st.integers(1, 12_000))
    steps = st.one_of(parts.map(lambda part: (part,)), st.tuples(parts, items))
    return st.lists(steps, max_size=3).map(lambda steps: StepPath(part for step in steps for part in step))


def execution_ids() -> st.SearchStrategy[ExecutionId]:
    return st.builds(ExecutionId, st.builds(UUID, int=st.integers(0, 2**128 - 1)))


def failures() -> st.SearchStrategy[Failure]:
    return st.builds(
        Failure,
        code=st.sampled_from(FailureCode),
        message=texts(),
        retryable=st.booleans(),
        retry_after=st.none() | st.floats(0, LONGEST_RETRY_AFTER),
        details=json_objects(),
    )


def usages() -> st.SearchStrategy[Usage]:
    tokens = st.integers(0, 2**60)
    model = st.none() | texts()
    return st.builds(Usage, model=model, input_tokens=tokens, output_tokens=tokens, cost=st.none() | tokens)
