"""Whatever an isolated step does to its process, the worker stays, and the step fails with a reason."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentplat import FailureCode, StepError
from agentplat.domain.failure import Failure
from agentplat.domain.workflow import ToolCall

from .conftest import Lab, is_gone


async def failure(lab: Lab, tool: str, text: object = "", **settings: object) -> Failure:
    outcome = await lab(**settings).outcome(ToolCall(tool), {"text": str(text)})
    assert outcome.failure is not None
    return outcome.failure


async def test_a_memory_bomb_is_a_failure_that_names_the_limit(lab: Lab) -> None:
    found = await failure(lab, "memory_bomb", memory_mb=512)

    assert found.code is FailureCode.TOOL_FAILED
    assert "MemoryError" in found.message
    assert "512 MiB (isolation.memory_mb)" in found.message


async def test_a_hog_is_stopped_at_its_limit_of_cpu(lab: Lab) -> None:
    found = await failure(lab, "cpu_hog", cpu_seconds=2)

    assert found.details == {"signal": "SIGXCPU"}
    assert "more than 2 s of CPU (isolation.cpu_seconds)" in found.message
    assert not found.retryable


async def test_a_segmentation_fault_is_a_failure_of_the_step(lab: Lab) -> None:
    found = await failure(lab, "segfault")

    assert found.code is FailureCode.TOOL_FAILED
    assert found.details == {"signal": "SIGSEGV"}
    assert "The process of the isolated tool 'segfault' was ended by the signal SIGSEGV." in found.message


async def test_one_that_ends_its_process_has_no_outcome(lab: Lab) -> None:
    found = await failure(lab, "leaves")
    assert "without an outcome, with the exit code 7" in found.message


async def test_an_effect_that_died_in_the_middle_is_in_doubt(lab: Lab) -> None:
    harness = lab()
    first = await harness.outcome(ToolCall("mail"), {})
    second = await harness.outcome(ToolCall("mail"), {}, try_number=2)

    assert first.failure is not None
    assert first.failure.details["in_doubt"] is True
    assert second.failure is not None
    assert second.failure.code is FailureCode.IN_DOUBT


async def test_an_output_that_is_too_large_is_refused_where_it_is_made(lab: Lab) -> None:
    found = await failure(lab, "huge", 3 * 1024 * 1024)

    assert found.code is FailureCode.INVALID_OUTPUT
    assert found.details["limit"] == 1024 * 1024


async def test_an_output_of_a_mebibyte_comes_through(lab: Lab) -> None:
    assert len(await lab().run_tool("huge", {"text": str(1024 * 1024 - 2)})) == 1024 * 1024 - 2


@pytest.mark.parametrize("said", ["no JSON", "[]", "{}", '{"call": "tool", "id": 1, "with": {}}', "[" * 100_000])
async def test_whatever_does_not_speak_as_it_should_fails(lab: Lab, said: str) -> None:
    found = await failure(lab, "babbler", said)
    assert "said something that is not understood" in found.message


async def test_one_that_never_stops_talking_fails(lab: Lab) -> None:
    found = await failure(lab, "babbler", "without end")
    assert "said more than 8,388,608 bytes at once" in found.message


async def test_files_are_limited_in_size_and_number(lab: Lab, tmp_path: Path) -> None:
    large = await failure(lab, "big_file", tmp_path / "file", file_mb=1)
    many = await failure(lab, "many_files", open_files=64)

    assert "File too large" in large.message
    assert (tmp_path / "file").stat().st_size == 1024 * 1024
    assert "Too many open files" in many.message


async def test_one_that_holds_the_interpreter_holds_nobody_else_and_ends_with_its_timeout(
    lab: Lab, tmp_path: Path
) -> None:
    marks, turns = tmp_path / "marks", 0
    running = asyncio.create_task(lab(timeout=10.0).outcome(ToolCall("gil_hog"), {"text": str(marks)}))
    while not running.done():
        await asyncio.sleep(0.01)
        turns += marks.exists()

    failure = running.result().failure
    assert failure is not None
    assert failure.code is FailureCode.TIMEOUT
    assert turns > 10, "the loop went on while it slept"
    assert is_gone(int(marks.read_text()))


async def test_a_cancel_ends_it_and_all_that_it_started(lab: Lab, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    running = asyncio.create_task(lab().outcome(ToolCall("breeder"), {"text": str(marks)}))
    pids = await _marked(marks, 8)
    assert not any(map(is_gone, pids))

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert all(map(is_gone, pids)), "those that left its group and its session too"


async def test_a_long_line_of_forks_ends_with_the_step(lab: Lab, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    running = asyncio.create_task(lab(timeout=60.0).outcome(ToolCall("fork_bomb"), {"text": f"100 {marks}"}))
    pids = await _marked(marks, 100)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert all(map(is_gone, pids))


async def test_what_a_step_leaves_behind_ends_with_it(lab: Lab, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    with pytest.raises(StepError):
        await lab(timeout=15.0).run_tool("breeder", {"text": str(marks)})
    assert all(map(is_gone, await _marked(marks, 8)))


async def _marked(marks: Path, count: int) -> list[int]:
    async with asyncio.timeout(60):
        while len(lines := marks.read_text().split() if marks.exists() else []) < count:  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.02)
    return [int(line) for line in lines]
