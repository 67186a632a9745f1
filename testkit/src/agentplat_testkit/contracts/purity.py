"""What a call of a tool does to the machine: `python -m agentplat_testkit.contracts.purity <plugin> <tool> <input>`.

Watched with an audit hook in a process of its own, since a hook cannot be taken back. The first call is not watched:
it imports.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agentplat.domain.json import JsonObject
from agentplat_testkit.contracts.plugins import PluginContract
from agentplat_testkit.harness import StepHarness

_WATCHED = ("open", "socket.", "subprocess.", "os.", "shutil.", "urllib.", "sqlite3.", "ctypes.", "tempfile.", "glob.")


async def touched(harness: StepHarness, tool: str, example: JsonObject) -> list[str]:
    """The audit events of the second of two calls."""
    await harness.run_tool(tool, example)
    events: list[str] = []
    watching = [True]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching[0] and event.startswith(_WATCHED):
            events.append(f"{event}({arguments[0] if arguments else ''})")

    sys.addaudithook(watch)
    await harness.run_tool(tool, example)
    watching[0] = False
    return events


def main(plugin: str, name: str, example: str) -> None:
    """Print the events."""

    class Watched(PluginContract):
        offers = "tools"

    Watched.plugin, Watched.name = plugin, name
    harness = StepHarness(tools=[Watched.registries().tool(name)])
    print(json.dumps(asyncio.run(touched(harness, name, json.loads(example)))))  # noqa: T201 - the answer of the command


if __name__ == "__main__":
    main(*sys.argv[1:])
