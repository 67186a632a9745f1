import json

import pytest
from hypothesis import given

from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.json import JsonObject

from .profiles import tried
from .values import failures


@given(failures())
@tried(0.25)
def test_a_failure_survives_being_kept(failure: Failure) -> None:
    assert failure == Failure.from_json(json.loads(json.dumps(failure.to_json())))


def test_a_failure_that_says_only_what_it_must_is_read() -> None:
    read = Failure.from_json({"code": "budget", "message": "spent", "retryable": False})

    assert Failure(code=FailureCode.BUDGET, message="spent") == read


def test_a_whole_number_of_seconds_is_read_as_seconds() -> None:
    read = Failure.from_json({"code": "rate_limited", "message": "busy", "retryable": True, "retry_after": 7})

    assert read.retry_after == 7.0
    assert isinstance(read.retry_after, float)


@pytest.mark.parametrize("missing", ["code", "message", "retryable"])
def test_a_failure_without_what_it_must_say_is_not_read(missing: str) -> None:
    whole: JsonObject = {"code": "budget", "message": "spent", "retryable": False}

    with pytest.raises(KeyError, match=missing):
        Failure.from_json({key: value for key, value in whole.items() if key != missing})


def test_the_codes_are_those_that_are_promised() -> None:
    promised = """rate_limited timeout unavailable invalid_output invalid_input refused tool_failed agent_failed
                  cancelled in_doubt poisoned budget"""

    assert promised.split() == [code.value for code in FailureCode]


def test_only_what_may_pass_by_itself_is_usually_retryable() -> None:
    usually = {code.value for code in FailureCode if code.usually_retryable}

    assert usually == {"rate_limited", "timeout", "unavailable", "invalid_output"}
