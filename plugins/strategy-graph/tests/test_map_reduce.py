"""Which results the reducing step gets, and how often."""

from __future__ import annotations

from typing import Any

import pytest
from agentplat_strategy_graph.map_reduce import MapReduce
from agentplat_testkit.simulation.scripts import SKIPPED, ScriptedBlock

from agentplat import FailureCode


def play(batch: Any = None, **outputs: Any) -> ScriptedBlock:
    options = {} if batch is None else {"batch": batch}
    return ScriptedBlock(MapReduce(), outputs, input="text", options=options)


def test_a_list_is_many_results_and_anything_else_is_one() -> None:
    block = play(each=[[1, 2]], once=[{"a": 3}], none=[SKIPPED], total=["done"])
    assert block.input_of("each") == block.input_of("once") == "text"
    assert block.input_of("total") == {"results": [1, 2, {"a": 3}], "last": True}
    assert block.output == "done"


def test_results_are_in_the_order_of_the_document() -> None:
    assert play(a=[[1]], b=[[2, 3]], total=["x"]).input_of("total")["results"] == [1, 2, 3]


def test_nothing_to_reduce_is_reduced_once() -> None:
    assert play(a=[[]], total=[0]).input_of("total") == {"results": [], "last": True}


def test_batches_are_reduced_at_once_and_their_results_again_until_one_is_left() -> None:
    block = play(2, each=[[1, 2, 3, 4, 5]], total=["a", "b", "c", "ab", "c", "abc"])
    given = [block.input_of("total", number) for number in range(1, 7)]
    assert [one["results"] for one in given] == [[1, 2], [3, 4], [5], ["a", "b"], ["c"], ["ab", "c"]]
    assert [one["last"] for one in given] == [False] * 5 + [True]
    assert block.output == "abc"


@pytest.mark.parametrize("batch", [1, 0, "2", True])
def test_a_batch_that_would_never_end_is_refused(batch: Any) -> None:
    assert play(batch, a=[[1]], total=[1]).failure.code is FailureCode.INVALID_INPUT


def test_a_block_with_nothing_to_map_is_refused() -> None:
    assert "only 'total'" in play(total=[1]).failure.message
