"""Tools and agents that a worker would not like to have in its own process. Tests load this as a file of a project."""

# ruff: noqa: ASYNC220, ASYNC230, ASYNC240, ASYNC251, T201 - what they do is wrong, and that is the point

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agentplat import Agent, AgentContext, Effect, FailureCode, StepError, Tool, ToolContext


class Text(BaseModel):
    text: str = ""


class _Pure(Tool[Text, Any]):
    effect = Effect.PURE
    isolated = True


class Where(_Pure):
    """Says where it runs, and what is known there."""

    name = "where"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        print("to standard output")
        return {
            "pid": os.getpid(),
            "group": os.getpgid(0),
            "environment": dict(os.environ),
            "typed": sys.stdin.read(),
            "settings": ctx.settings,
            "config": ctx.config,
            "project": ctx.project,
            "tenant": ctx.tenant,
            "key": ctx.idempotency_key,
            "in_time": 0 < ctx.deadline <= 60,
            "text": input.text,
        }


class Shout(_Pure):
    """Upper case, from a thread."""

    name = "shout"

    def execute(self, input: Text, ctx: ToolContext) -> Any:
        return input.text.upper()


class Mail(Tool[Text, str]):
    """Dies in the middle of an effect."""

    name = "mail"
    effect = Effect.AT_MOST_ONCE
    isolated = True

    async def execute(self, input: Text, ctx: ToolContext) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


class MemoryBomb(_Pure):
    name = "memory_bomb"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        return len(bytearray(64 * 2**30))


class CpuHog(_Pure):
    name = "cpu_hog"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        while True:
            pass


class Segfault(_Pure):
    name = "segfault"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        return ctypes.string_at(0).decode()


class GilHog(_Pure):
    """Sleeps in C and keeps the interpreter to itself."""

    name = "gil_hog"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        Path(input.text).write_text(str(os.getpid()))
        return ctypes.PyDLL(None).sleep(1000)


class Breeder(_Pure):
    """Starts children, some of which leave its process group, and writes down who they are."""

    name = "breeder"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
        families = [subprocess.Popen(sleep, start_new_session=bool(n % 2)).pid for n in range(6)]
        pid = os.fork()
        if pid == 0:
            os.setsid()
            if os.fork():  # the one that goes on has no parent any more
                os._exit(0)
            with Path(input.text).open("a") as marks:
                marks.write(f"{os.getpid()}\n")
            time.sleep(1000)
        with Path(input.text).open("a") as marks:
            marks.write("".join(f"{pid}\n" for pid in (*families, os.getpid())))
        await asyncio.sleep(1000)


class ForkBomb(_Pure):
    """As many processes as the test says, each the child of the one before."""

    name = "fork_bomb"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        generations, _, marks = input.text.partition(" ")
        for _ in range(int(generations)):
            pid = os.fork()
            if pid == 0:
                os.setsid()
                continue
            with Path(marks).open("a") as file:
                file.write(f"{pid}\n")
            break
        time.sleep(1000)


class Huge(_Pure):
    name = "huge"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        return "x" * int(input.text)


class BigFile(_Pure):
    name = "big_file"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        with Path(input.text).open("wb") as file:
            file.write(b"x" * 2**22)


class ManyFiles(_Pure):
    name = "many_files"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        return len([os.dup(0) for _ in range(100)])


class Leaves(_Pure):
    name = "leaves"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        os._exit(7)


class Limited(_Pure):
    """Fails as it wants."""

    name = "limited"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        raise StepError(FailureCode.RATE_LIMITED, "Too much.", retry_after=3.0, details={"left": 0})


class Broken(_Pure):
    name = "broken"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        raise ValueError("no")


class Babbler(_Pure):
    """Writes into every pipe that it finds."""

    name = "babbler"

    async def execute(self, input: Text, ctx: ToolContext) -> Any:
        said = b"x" * 2**24 if input.text == "without end" else input.text.encode() + b"\n"
        for fd in range(3, 30):
            try:
                is_pipe = str(Path(f"/proc/self/fd/{fd}").readlink()).startswith("pipe:")
                while is_pipe and said:
                    said = said[os.write(fd, said) :]
            except OSError:
                continue
        await asyncio.sleep(1000)


class Judgement(BaseModel):
    good: bool


class Asker(Agent[Text, Any]):
    """Uses all of its context."""

    name = "asker"
    tools = ("shout",)
    isolated = True

    async def execute(self, input: Text, ctx: AgentContext) -> Any:
        ctx.log.warning("begun", odd=float("inf"))
        ctx.emit("half", percent=50)
        first, second = await asyncio.gather(ctx.llm.complete("first"), ctx.llm.complete("second"))
        third = await ctx.llm.complete("third", tools=["shout"])
        judged = await ctx.llm.structured("good?", Judgement)
        said = await ctx.tools.call("shout", text="loud")
        refused = None
        try:
            await ctx.tools.call("whisper")
        except StepError as error:
            refused = error.failure.code
        given = [reply.text for reply in (first, second, third)]
        about = {
            "model": ctx.llm.model,
            "task": ctx.task_id,
            "names": list(ctx.tools.names),
            "key": ctx.idempotency_key,
        }
        return {"given": given, "judged": judged.good, "said": said, "refused": refused, "config": ctx.config, **about}


class Misjudging(Agent[Text, Any]):
    name = "misjudging"
    isolated = True

    async def execute(self, input: Text, ctx: AgentContext) -> Any:
        return await ctx.llm.structured("good?", Judgement)


class Impatient(Agent[Text, Any]):
    """Stops a call."""

    name = "impatient"
    isolated = True

    async def execute(self, input: Text, ctx: AgentContext) -> Any:
        try:
            async with asyncio.timeout(0.2):
                await ctx.llm.complete("slow")
        except TimeoutError:
            return (await ctx.llm.complete("quick")).text


class Plain(Agent[Text, Any]):
    """Asks for nothing."""

    name = "plain"

    async def execute(self, input: Text, ctx: AgentContext) -> Any:
        return os.getpid()
