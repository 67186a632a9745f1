"""LangGraph, the library: a graph of nodes with a checkpointer. It has no queue and no worker: W4 and W5 only.

saver=postgres, sqlite or memory; durability=sync, async or exit, as it calls them.
"""

from __future__ import annotations

import asyncio
import operator
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypedDict

from harness.adapter import Adapter, Numbers, per_second
from harness.database import Counters, address, fresh_database
from harness.tally import now
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

DATABASE = "bench_langgraph"
STEPS = 10
_WARM = 10


class Value(TypedDict):
    v: int


class Fan(TypedDict):
    n: int
    got: Annotated[list[int], operator.add]
    total: int


def graph_of_ten() -> Any:
    """Ten nodes in a row."""
    graph = StateGraph(Value)

    async def node(state: Value) -> Value:
        return {"v": state["v"] + 1}

    for number in range(STEPS):
        graph.add_node(f"s{number}", node)
        graph.add_edge(f"s{number - 1}" if number else START, f"s{number}")
    graph.add_edge(f"s{STEPS - 1}", END)
    return graph


def graph_of_children() -> Any:
    """A parent that sends to a child n times, and a join."""
    graph = StateGraph(Fan)

    async def child(state: Any) -> Any:
        return {"got": [state["i"]]}

    async def join(state: Fan) -> Any:
        return {"total": sum(state["got"])}

    graph.add_node("parent", lambda _: {})
    graph.add_node("child", child)
    graph.add_node("join", join)
    graph.add_edge(START, "parent")
    graph.add_conditional_edges(
        "parent", lambda state: [Send("child", {"i": index}) for index in range(state["n"])], ["child"]
    )
    graph.add_edge("child", "join")
    graph.add_edge("join", END)
    return graph


class Langgraph(Adapter):
    name = "langgraph"
    packages: ClassVar[Sequence[str]] = (
        "langgraph",
        "langgraph-checkpoint-postgres",
        "langgraph-checkpoint-sqlite",
        "psycopg",
        "aiosqlite",
    )

    def steps(self, n: int = 100, saver: str = "postgres", durability: str = "sync", rounds: int = 3) -> Numbers:
        """W4: graphs in this process; the median of the rounds."""
        database = fresh_database(DATABASE) if saver == "postgres" else None
        counters = Counters(database)

        async def body(checkpointer: Any) -> list[tuple[float, float, dict[str, float]]]:
            graph = graph_of_ten().compile(checkpointer=checkpointer)

            async def one(name: str) -> None:
                thread = {"configurable": {"thread_id": name}}
                assert (await graph.ainvoke({"v": 0}, thread, durability=durability))["v"] == STEPS

            await asyncio.gather(*[one(f"warm-{number}") for number in range(_WARM)])
            found = []
            for number in range(rounds):
                before, began, cpu = counters.snapshot(), now(), time.process_time()
                await asyncio.gather(*[one(f"{number}-{each}") for each in range(n)])
                seconds, used = now() - began, time.process_time() - cpu
                found.append((seconds, used, counters.per_unit(before, counters.snapshot(), n * STEPS)))
            return found

        found = asyncio.run(self._with_saver(saver, body))
        seconds, used, unit = sorted(found, key=lambda each: each[0])[rounds // 2]
        return {
            "steps_per_s": per_second(n * STEPS, seconds),
            "workflows_per_s": per_second(n, seconds),
            "wall_s": round(seconds, 3),
            "unit": unit,
            "own_cpu_ms": round(used * 1000 / (n * STEPS), 4),
        }

    def children(self, n: int = 1000, saver: str = "postgres", durability: str = "sync", rounds: int = 3) -> Numbers:
        """W5: a parent that sends to n children; the median of the rounds."""
        if saver == "postgres":
            fresh_database(DATABASE)

        async def body(checkpointer: Any) -> list[float]:
            graph = graph_of_children().compile(checkpointer=checkpointer)
            times = []
            for number in range(rounds):
                began = now()
                thread = {"configurable": {"thread_id": f"fan-{number}"}}
                result = await graph.ainvoke({"n": n, "got": [], "total": 0}, thread, durability=durability)
                times.append(now() - began)
                assert result["total"] == n * (n - 1) // 2
            return times

        return {"wall_s": round(sorted(asyncio.run(self._with_saver(saver, body)))[rounds // 2], 3)}

    async def _with_saver(self, saver: str, body: Callable[[Any], Awaitable[Any]], pool: int = 10) -> Any:
        if saver == "postgres":
            from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
            from psycopg.rows import dict_row
            from psycopg_pool import AsyncConnectionPool

            options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
            async with AsyncConnectionPool(
                address(DATABASE), min_size=pool, max_size=pool, open=False, kwargs=options
            ) as connections:
                postgres = AsyncPostgresSaver(connections)
                await postgres.setup()
                return await body(postgres)
        if saver == "sqlite":
            from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

            with tempfile.TemporaryDirectory(prefix="bench-langgraph-") as folder:
                async with AsyncSqliteSaver.from_conn_string(str(Path(folder) / "saver.db")) as sqlite:
                    await sqlite.setup()
                    return await body(sqlite)
        from langgraph.checkpoint.memory import InMemorySaver

        return await body(InMemorySaver())


if __name__ == "__main__":
    Langgraph().main()
