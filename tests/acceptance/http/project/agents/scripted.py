"""Agents that a test can look through: one tells what it was given, one waits for a file, one fails."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agentplat import Agent, AgentContext, FailureCode, StepError


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


class Echo(Agent[Anything, dict[str, Any]]):
    """Tells what it was given, in its output and in the log."""

    name = "echo"

    async def execute(self, input: Anything, ctx: AgentContext) -> dict[str, Any]:
        given = input.model_dump()
        ctx.log.info("echoed", given=given)
        return {"given": given, "tenant": ctx.tenant}


class Scalar(Agent[Anything, str]):
    """Gives a text that is no object."""

    name = "scalar"

    async def execute(self, input: Anything, ctx: AgentContext) -> str:
        return "just a text"


class Patience(BaseModel):
    file: str = Field(description="The step ends when this file is there.")


def _wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.05)


class Patient(Agent[Patience, dict[str, Any]]):
    """Runs until a file is there."""

    name = "patient"

    async def execute(self, input: Patience, ctx: AgentContext) -> dict[str, Any]:
        await asyncio.to_thread(_wait_for, Path(input.file))
        return {"found": True}


class Failing(Agent[Anything, dict[str, Any]]):
    """Fails for good."""

    name = "failing"

    async def execute(self, input: Anything, ctx: AgentContext) -> dict[str, Any]:
        raise StepError(FailureCode.REFUSED, "It does not want to.", details={"why": "because"})


class Counted(BaseModel):
    times: int
    label: str = "none"


class Exact(Agent[Counted, dict[str, Any]]):
    """Takes a number."""

    name = "exact"

    async def execute(self, input: Counted, ctx: AgentContext) -> dict[str, Any]:
        return {"times": input.times}


class _Capricious(BaseModel):
    model_config = ConfigDict(extra="allow")

    def model_post_init(self, _context: object) -> None:
        raise RuntimeError("a validator of a plugin may raise anything")


class Capricious(Agent[_Capricious, dict[str, Any]]):
    """Its input's validation breaks."""

    name = "capricious"

    async def execute(self, input: _Capricious, ctx: AgentContext) -> dict[str, Any]:
        return {}


class Marking(BaseModel):
    step: str
    marks: str = Field(description="The file in which every execution leaves a line.")
    needs: str | None = Field(default=None, description="It refuses for good while this file is not there.")
    given: Any = None


def _mark(input: Marking) -> bool:
    """Leave a mark. Whether what it needs is there."""
    with Path(input.marks).open("a") as marks:
        marks.write(f"{input.step}\n")
    return input.needs is None or Path(input.needs).exists()


class Marked(Agent[Marking, dict[str, Any]]):
    """Leaves a mark, and tells what it was given."""

    name = "marked"

    async def execute(self, input: Marking, ctx: AgentContext) -> dict[str, Any]:
        if not await asyncio.to_thread(_mark, input):
            raise StepError(FailureCode.REFUSED, f"{input.needs} is not there.")
        return {"step": input.step, "given": input.given}
