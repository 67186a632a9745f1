"""The same key and body give the first task, whatever was deployed in between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentplat.contracts.interface import Submission, TaskFilter
from agentplat.contracts.specs import WorkflowSpec
from agentplat.domain.errors import IdempotencyMismatch, InputRejected, UnknownName
from agentplat.plugins.registry import RegistryBuilder

from .harness import Engine

GREETS = """
name: greets
input: {{ {input} }}
steps: [{{agent: one}}]
"""
Deploy = Callable[[str | None], None]


@pytest.fixture
def deploy(engine: Engine, tmp_path: Path) -> Deploy:
    before = engine.registries

    def deploy(input: str | None) -> None:
        """`greets` with that schema of its input; None: without `greets`."""
        builder = RegistryBuilder(before)
        if input is not None:
            file = tmp_path / "greets.yaml"
            file.write_text(GREETS.format(input=input))
            builder.register(WorkflowSpec(name="greets", file=str(file)))
        engine.registries = builder.build()

    return deploy


AT_FIRST = "name: {type: string}, polite: {type: boolean, default: true}"
LATER = {
    "another default": "name: {type: string}, polite: {type: boolean, default: false}",
    "a stricter schema": "name: {type: string, maxLength: 2}, polite: {type: boolean, default: true}",
    "a new field that is required": "name: {type: string}, words: {type: integer}",
    "no such workflow": None,
}


def request(key: str | None = "k", **input: Any) -> Submission:
    return Submission(type="workflow:greets", input=input or {"name": "Ada"}, idempotency_key=key)


@pytest.mark.parametrize("later", LATER)
async def test_a_repeated_request_gets_its_first_task_after_a_deploy(
    engine: Engine, deploy: Deploy, later: str
) -> None:
    deploy(AT_FIRST)
    first = (await engine.client.submit(request())).id
    deploy(LATER[later])

    assert (await engine.client.submit(request())).id == first
    [accepted] = await engine.client.submit_all([request()])
    assert (accepted.id, accepted.created) == (first, False)
    assert len(await engine.client.tasks(TaskFilter())) == 1


async def test_in_a_batch_each_gets_what_is_its_own(engine: Engine, deploy: Deploy) -> None:
    deploy(AT_FIRST)
    first = (await engine.client.submit(request())).id
    deploy(None)
    beside = [Submission(type="agent:one", input={}) for _ in range(2)]
    one, known, two = await engine.client.submit_all([beside[0], request(), beside[1]])

    assert (known.id, [each.created for each in (one, known, two)]) == (first, [True, False, True])
    assert len({one.id, known.id, two.id}) == 3
    with pytest.raises(InputRejected, match="/tasks/1/type"):
        await engine.client.submit_all([beside[0], request("other"), request()])


async def test_what_was_never_let_in_is_refused_as_before(engine: Engine, deploy: Deploy) -> None:
    deploy(AT_FIRST)
    await engine.client.submit(request())
    with pytest.raises(IdempotencyMismatch):
        await engine.client.submit(request(name="Bob"))
    with pytest.raises(InputRejected):
        await engine.client.submit(request(name=7))
    deploy(None)
    for new in (request("other"), request(None), request(name="Bob")):
        with pytest.raises(UnknownName):
            await engine.client.submit(new)
    elsewhere = Submission(type="workflow:greets", input={"name": "Ada"}, idempotency_key="k", tenant="acme")
    with pytest.raises(UnknownName):
        await engine.client.submit(elsewhere)
