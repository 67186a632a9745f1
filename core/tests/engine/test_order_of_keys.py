"""An expression gives the same, whether the state is at hand or comes from the journal."""

from agentplat import AgentContext

from .harness import Engine, Given, Script


async def test_what_an_expression_makes_of_a_map_does_not_depend_on_where_it_was_kept(
    engine: Engine, script: Script
) -> None:
    async def one(given: Given, ctx: AgentContext) -> Given:
        return {"longest": 1, "b": 2}

    script.bodies["one"] = one
    engine.start_worker()
    task_id = await engine.submit("workflow:keys")
    await engine.until(task_id, lambda task: task.status.value == "waiting")
    await engine.client.signal(task_id, "go", {}, key="1")
    task = await engine.ended(task_id)

    given = {step.path: step.output for step in task.steps}
    assert given["before"] == given["after"]
