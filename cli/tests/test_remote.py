"""Servers that are not agentplat, or not as expected, over a real socket."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from agentplat_cli.remote import RemoteTasks

from agentplat import (
    AgentplatError,
    ConflictError,
    InputRejected,
    NotFound,
    Submission,
    TaskFilter,
    UnavailableError,
    UsageError,
)

from .conftest import Answers

TASK = UUID("01a20916-608e-7216-9ca7-f3f923c66582")


def problem(code: str) -> str:
    return json.dumps({"error_code": code, "detail": "As the server says."})


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "unknown_name", UsageError),
        (404, "not_found", NotFound),
        (409, "conflict", ConflictError),
        (422, "input_rejected", UsageError),
        (500, "internal", AgentplatError),
        (503, "store_unavailable", UnavailableError),
    ],
)
async def test_a_problem_document_is_the_error_that_the_server_had(
    status: int, code: str, kind: type[AgentplatError], answers: Answers
) -> None:
    async with RemoteTasks(answers((status, problem(code)))) as tasks:
        with pytest.raises(kind) as raised:
            await tasks.task(TASK)
    assert type(raised.value) is kind
    assert (raised.value.code, raised.value.detail) == (code, "As the server says.")


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, "<html>Welcome</html>"), (200, "[]"), (200, "{}"), (404, "not here"), (302, ""), (500, '{"detail": 1}')],
)
async def test_a_server_that_is_not_agentplat_is_told_from_one(status: int, body: str, answers: Answers) -> None:
    async with RemoteTasks(answers((status, body))) as tasks:
        with pytest.raises(AgentplatError, match=f"with {status}, and not as agentplat does"):
            await tasks.task(TASK)
        with pytest.raises(AgentplatError, match="not as agentplat does"):
            await tasks.submit(Submission(type="agent:x", input={}))


async def test_an_empty_list_is_a_list(answers: Answers) -> None:
    async with RemoteTasks(answers((200, "[]"))) as tasks:
        assert await tasks.tasks(TaskFilter()) == []


async def test_a_server_that_is_away_is_unavailable() -> None:
    async with RemoteTasks("http://127.0.0.1:1") as tasks:
        with pytest.raises(UnavailableError, match=r"http://127\.0\.0\.1:1 does not answer"):
            await tasks.task(TASK)


@pytest.mark.parametrize("url", ["", "nowhere", "127.0.0.1:8000", "ftp://here", "http://", "http://here:port"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputRejected, match="--url"):
        RemoteTasks(url)
