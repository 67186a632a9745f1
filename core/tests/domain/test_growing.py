"""Collections that grow in constant time are equal to the plain ones, whichever version one looks at."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentplat.domain.growing import LARGE, Grown, Versions, grown, with_entry

from .profiles import tried

moves = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 30), st.integers()), max_size=200)


@given(moves, st.lists(st.integers(0, 10_000), max_size=30))
@tried(0.3)
def test_every_version_of_a_mapping_stays_what_it_was(steps: list[tuple[int, int, int]], looks: list[int]) -> None:
    plain: list[dict[int, int]] = [dict.fromkeys(range(LARGE + 5), 0)]
    versions: list[Any] = [Versions(dict(plain[0]))]
    for back, key, value in steps:
        at = max(0, len(plain) - 1 - back // 40)  # mostly from the newest one
        plain.append({**plain[at], key * 7: value})
        versions.append(with_entry(versions[at], key * 7, value))
        for look in looks[:3]:
            place = look % len(plain)
            assert versions[place] == plain[place]

    for place in [*range(len(plain)), *(look % len(plain) for look in looks)]:
        assert versions[place] == plain[place]
        assert list(versions[place]) == list(plain[place])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers()), max_size=200))
@tried(0.3)
def test_every_version_of_a_sequence_stays_what_it_was(steps: list[tuple[int, int]]) -> None:
    plain: list[tuple[int, ...]] = [tuple(range(LARGE - 3))]
    versions: list[Any] = [plain[0]]
    for back, value in steps:
        at = max(0, len(plain) - 1 - back)
        plain.append((*plain[at], value))
        versions.append(grown(versions[at], value))

    for mine, theirs in zip(versions, plain, strict=True):
        assert tuple(mine) == theirs
        assert (mine[0], mine[-1], len(mine), mine[2:5], mine[::-1]) == (
            theirs[0],
            theirs[-1],
            len(theirs),
            theirs[2:5],
            theirs[::-1],
        )
        assert mine == theirs


def test_small_ones_are_plain() -> None:
    assert type(grown((1,), 2)) is tuple
    assert type(with_entry({1: 1}, 2, 2)) is dict


def test_a_large_one_is_shared_and_not_copied() -> None:
    first = Grown(list(range(LARGE)), LARGE)

    second = grown(first, 1)

    assert isinstance(second, Grown)
    assert second._items is first._items
    with pytest.raises(IndexError):
        first[LARGE]
