"""The strategy `map_reduce`: steps make results at once, the last step makes one of them."""

from __future__ import annotations

from collections.abc import Sequence

from agentplat import BlockView, Decision, FailureCode, Finish, JsonValue, Start, StepError, Strategy, Wait, Way


class MapReduce(Strategy):
    """All steps but the last run at once; a list that one gives, as a `foreach` does, is many results.

    The last step gets them as `results`: all of them, or with the option `batch` so many at a time, and then its own
    outputs again, until one is left.
    """

    name = "map_reduce"
    revision = 1
    consult_always = True

    def decide(self, block: BlockView) -> Decision:
        *mapping, reducing = block.steps
        if not mapping:
            message = f"map_reduce needs steps that map and a last one that reduces; there is only {reducing!r}."
            raise StepError(FailureCode.INVALID_INPUT, message)
        ended = {execution.step for execution in block.settled}
        missing = [step for step in mapping if step not in ended and step not in block.open]
        if missing:
            return Start(*missing, input=block.input)
        if any(step in block.open for step in mapping):
            return Wait()
        return _reduce(block, mapping, reducing)

    def most_of(self, step: str, block: BlockView) -> int | None:
        """Each step runs once; with `batch` it depends on how many results the last one has to reduce."""
        return None if "batch" in block.options and step == block.steps[-1] else 1

    def ways(self, block: BlockView) -> list[Way]:
        *mapping, reducing = block.steps
        size = _batch_size(block)
        again = [Way(reducing, reducing, f"again, {size} at a time, until one is left", again=True)] if size else []
        mapped = [way for step in mapping for way in (Way(None, step), Way(step, reducing))]
        return [*mapped, *again, Way(reducing, None)]


def _reduce(block: BlockView, mapping: Sequence[str], reducing: str) -> Decision:
    """What the reducing step does next. Its executions are counted: which one got what follows from their numbers."""
    reduced = {execution.number: execution for execution in block.settled if execution.step == reducing}
    begun = len(reduced) + block.open.count(reducing)
    level, before = _results(block, mapping), 0
    while True:
        batches = _batches(level, _batch_size(block))
        place = begun - before
        if place < len(batches):
            given: JsonValue = {"results": batches[place], "last": len(batches) == 1}
            return Start(reducing, input=given)
        done = [reduced.get(number) for number in range(before + 1, before + len(batches) + 1)]
        here = [execution for execution in done if execution is not None]
        if len(here) < len(batches):
            return Wait()
        if len(batches) == 1:
            return Finish(here[0].output)
        level = [execution.output for execution in here if execution.status == "succeeded"]
        before += len(batches)


def _results(block: BlockView, mapping: Sequence[str]) -> list[JsonValue]:
    """What the mapping steps gave, in the order of the document."""
    outputs = {execution.step: execution.output for execution in block.settled if execution.status == "succeeded"}
    results: list[JsonValue] = []
    for step in mapping:
        output = outputs.get(step)
        if isinstance(output, list | tuple):
            results.extend(output)
        elif step in outputs:
            results.append(output)
    return results


def _batch_size(block: BlockView) -> int | None:
    size = block.options.get("batch")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 2):
        raise StepError(FailureCode.INVALID_INPUT, f"`batch` is {size!r}; it has to be a whole number from 2.")
    return size if isinstance(size, int) else None


def _batches(results: list[JsonValue], size: int | None) -> list[list[JsonValue]]:
    if size is None or len(results) <= size:
        return [results]
    return [results[start : start + size] for start in range(0, len(results), size)]
