"""A workflow with everything that the language has, as its tree, and large ones."""

from __future__ import annotations

from datetime import timedelta

from agentplat.domain.workflow import (
    CATCH,
    COMPENSATE,
    FINALLY,
    FOREACH,
    ITEM,
    AgentCall,
    Approval,
    Block,
    Catch,
    Concurrency,
    Dispatch,
    Emit,
    ForEach,
    SignalWait,
    Step,
    TimerWait,
    ToolCall,
    UntilWait,
    Workflow,
    WorkflowCall,
)


def tool(name: str, *needs: str, compensate: Block | None = None) -> Step:
    return Step(name=name, body=ToolCall(name), needs=needs, compensate=compensate)


def block(name: str, *steps: Step | Block) -> Block:
    return Block(name=name, strategy="sequential", steps=steps)


ROOT = Block(
    name="",
    strategy="dag",
    steps=(
        Block(
            name="gather",
            strategy=FOREACH,
            steps=(Step(name=ITEM, body=AgentCall("research")),),
            foreach=ForEach(items="${{ input.urls }}", max_parallel=8),
        ),
        tool("book", compensate=block(COMPENSATE, tool("unbook"))),
        Step(
            name="sign_off",
            body=Approval(message="Publish?", assignee="role:editor", timeout=timedelta(days=3)),
            needs=("gather", "book"),
        ),
        Step(
            name="announce",
            body=Emit(event="published"),
            needs=("sign_off",),
            when="${{ steps.sign_off.output.approved }}",
        ),
        Step(name="settle", body=TimerWait(timedelta(minutes=10)), needs=("announce",)),
        Step(name="opening", body=UntilWait("${{ input.at }}"), needs=("announce",)),
        Step(name="word", body=SignalWait("go", timedelta(hours=1)), needs=("announce",)),
        Step(name="bill", body=WorkflowCall("invoice"), needs=("word",)),
        Step(
            name="pay",
            body=ToolCall("bank"),
            needs=("bill",),
            dispatch=Dispatch(queue="egress", concurrency=Concurrency("${{ input.account }}", 1)),
        ),
    ),
    catch=(Catch(on=frozenset({"permanent"}), block=block(f"{CATCH}1", Step(name="sorry", body=AgentCall("writer")))),),
    final=block(FINALLY, tool("notify")),
)
EVERYTHING = Workflow(name="everything", root=ROOT)


def large_dag(steps: int) -> Workflow:
    """Each step needs up to three of the ten before it."""
    nodes = tuple(
        tool(f"step_{n}", *dict.fromkeys(f"step_{n - back}" for back in (1 + n % 7, 3 + n % 5, 10) if n - back >= 0))
        for n in range(steps)
    )
    return Workflow(name="large", root=Block(name="", strategy="dag", steps=nodes))
