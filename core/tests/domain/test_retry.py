import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.retry import DEFAULT_RETRY, RetryPolicy, delay_after, least_delay

from .profiles import tried

SLOW = Failure(code=FailureCode.TIMEOUT, message="slow", retryable=True)
WRONG = Failure(code=FailureCode.INVALID_INPUT, message="wrong")


def seconds(policy: RetryPolicy, tries: int, failure: Failure = SLOW) -> float | None:
    delay = delay_after(policy, tries, failure)
    return None if delay is None else delay.total_seconds()


def asked(retry_after: float) -> Failure:
    return Failure(code=FailureCode.RATE_LIMITED, message="busy", retryable=True, retry_after=retry_after)


def test_the_delay_doubles_from_try_to_try() -> None:
    policy = RetryPolicy(max_attempts=6)

    assert [seconds(policy, tries) for tries in range(1, 7)] == [1, 2, 4, 8, 16, None]


def test_the_delay_may_grow_evenly_or_not_at_all() -> None:
    linear = RetryPolicy(max_attempts=5, backoff="linear", initial=timedelta(seconds=3))
    constant = RetryPolicy(max_attempts=5, backoff="constant", initial=timedelta(seconds=3))

    assert [seconds(linear, tries) for tries in range(1, 5)] == [3, 6, 9, 12]
    assert [seconds(constant, tries) for tries in range(1, 5)] == [3, 3, 3, 3]


def test_no_delay_is_longer_than_the_longest() -> None:
    policy = RetryPolicy(max_attempts=100, max=timedelta(seconds=10))

    assert [seconds(policy, tries) for tries in (4, 5, 99)] == [8, 10, 10]


def test_the_first_delay_too_is_held_to_the_longest() -> None:
    assert seconds(RetryPolicy(initial=timedelta(hours=2), max=timedelta(seconds=5)), 1) == 5


def test_three_tries_are_made_of_a_retryable_failure_by_default() -> None:
    assert [seconds(DEFAULT_RETRY, tries) for tries in (1, 2, 3)] == [1, 2, None]


def test_a_permanent_failure_is_not_tried_again_by_default() -> None:
    assert seconds(DEFAULT_RETRY, 1, WRONG) is None


def test_what_a_failure_says_of_itself_counts_not_its_code() -> None:
    odd = Failure(code=FailureCode.REFUSED, message="ask me again", retryable=True)

    assert seconds(DEFAULT_RETRY, 1, odd) == 1


@pytest.mark.parametrize(
    ("on", "slow", "wrong"),
    [
        ({"retryable"}, True, False),
        ({"permanent"}, False, True),
        ({"retryable", "permanent"}, True, True),
        ({"timeout"}, True, False),
        ({"invalid_input"}, False, True),
        ({"rate_limited", "budget"}, False, False),
        (set(), False, False),
    ],
)
def test_a_policy_names_codes_or_groups(on: set[str], slow: bool, wrong: bool) -> None:
    policy = RetryPolicy(on=frozenset(on))

    assert (slow, wrong) == (policy.takes(SLOW), policy.takes(WRONG))


def test_what_was_cancelled_is_never_tried_again() -> None:
    policy = RetryPolicy(on=frozenset({"cancelled", "permanent", "retryable"}))

    assert not policy.takes(Failure(code=FailureCode.CANCELLED, message="stop"))
    assert not policy.takes(Failure(code=FailureCode.CANCELLED, message="stop", retryable=True))


def test_what_the_other_side_asks_for_is_the_least_delay_even_above_the_longest() -> None:
    policy = RetryPolicy(max=timedelta(seconds=10))

    assert timedelta(seconds=30) == least_delay(asked(30.0))
    assert [seconds(policy, 1, asked(30.0)), seconds(policy, 2, asked(0.5))] == [30, 2]


@pytest.mark.parametrize(
    ("retry_after", "least"),
    [(1e30, 3600), (math.inf, 3600), (3600.5, 3600), (-5, 0), (-math.inf, 0), (math.nan, 0), (0.0, 0), (10**400, 3600)],
)
def test_a_hostile_retry_after_neither_parks_a_task_for_ever_nor_breaks_it(retry_after: float, least: float) -> None:
    assert least_delay(asked(retry_after)).total_seconds() == least


def test_tries_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1, not 0"):
        delay_after(DEFAULT_RETRY, 0, SLOW)


durations = st.timedeltas(min_value=timedelta(0))


@given(
    st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, 10**9),
        backoff=st.sampled_from(("exponential", "linear", "constant")),
        initial=durations,
        max=durations,
        on=st.just(frozenset({"retryable", "permanent"})),
    ),
    st.integers(1, 10**9),
    st.builds(asked, st.floats()),
)
@tried()
def test_no_policy_however_large_overflows(policy: RetryPolicy, tries: int, failure: Failure) -> None:
    delay = delay_after(policy, tries, failure)

    assert (delay is None) == (tries >= policy.max_attempts)
    if delay is not None:
        later = delay_after(policy, tries + 1, failure)
        assert timedelta(0) <= least_delay(failure) <= delay <= max(policy.max, timedelta(hours=1))
        assert later is None or delay <= later
