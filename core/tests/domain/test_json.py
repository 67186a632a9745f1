import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentplat.domain.json import MAX_DEPTH, storable_text, unstorable

from .profiles import tried
from .values import json_values


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@given(json_values())
@tried(0.25)
def test_json_can_be_kept(value: object) -> None:
    assert unstorable(value) is None


@pytest.mark.parametrize(
    ("value", "pointer", "reason"),
    [
        ("a\x00b", "", "U\\+0000"),
        ({"a": ["b", "\x00"]}, "/a/1", "U\\+0000"),
        ({"a\x00": 1}, "/a\ufffd", "U\\+0000"),
        ({"\ud800": 1}, "/\ufffd", "surrogate"),
        ("\ud83d", "", "surrogate"),
        (["\udc00"], "/0", "surrogate"),
        (math.nan, "", "is nan"),
        ({"x": math.inf}, "/x", "is inf"),
        ([0, -math.inf], "/1", "is -inf"),
        (10**300, "", "too many digits"),
        (-(10**5000), "", "too many digits"),
        (nested(65), "/0" * 65, "deeper than 64"),
        ({1: 2}, "", "key of type int, which is not text"),
        ({"a": {None: 2}}, "/a", "key of type NoneType"),
        ({"a/b": {"c~d": {1, 2}}}, "/a~1b/c~0d", "type set"),
        (b"bytes", "", "type bytes"),
        (object(), "", "type object"),
    ],
    ids=lambda _: "",
)
def test_what_cannot_be_kept_is_named_with_its_place(value: object, pointer: str, reason: str) -> None:
    fault = unstorable(value)

    assert fault is not None
    assert pointer == fault[0]
    assert re.search(reason, fault[1])


@pytest.mark.parametrize(
    "value",
    [10**300 - 1, -(10**300 - 1), nested(64), True, "\U0001f41d", "\ue000", "\x01", {"": ""}, (1, [2]), 1.5e308],
)
def test_what_is_just_within_the_limits_can_be_kept(value: object) -> None:
    assert unstorable(value) is None


def test_a_value_that_contains_itself_is_too_deep() -> None:
    endless: list[object] = []
    endless.append(endless)

    fault = unstorable(endless)

    assert fault == ("/0" * (MAX_DEPTH + 1), "is nested deeper than 64 levels")


@given(st.text(st.characters()))
@tried(0.25)
def test_storable_text_keeps_what_can_be_kept_and_marks_the_rest(text: str) -> None:
    kept = storable_text(text)

    assert unstorable(kept) is None
    assert len(kept) == len(text)
    assert all(after in (before, "\ufffd") for before, after in zip(text, kept, strict=True))
    if unstorable(text) is None:
        assert kept == text == json.loads(json.dumps(kept))
