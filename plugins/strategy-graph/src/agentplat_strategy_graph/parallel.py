"""The strategy `parallel`: all steps at once, joined by a rule."""

from __future__ import annotations

from agentplat import BlockView, Decision, Fail, FailureCode, Finish, JsonValue, Settled, Start, Strategy, Wait, Way
from agentplat_strategy_graph.joins import Join, failed, outputs_in_order, read_join


class Parallel(Strategy):
    """Each step once, all at once. When the join is met, or cannot be met any more, the rest is cancelled."""

    name = "parallel"
    revision = 1
    consult_always = True
    sees_failures = True

    def decide(self, block: BlockView) -> Decision:
        join = read_join(block.options.get("join"), len(block.steps))
        ended = {execution.step for execution in block.settled}
        over = _outcome(block, join, outstanding=len(block.steps) - len(ended))
        if over is not None:
            return over
        # Of several that start together one may be refused, and then the others have not begun.
        missing = [step for step in block.steps if step not in ended and step not in block.open]
        return Start(*missing, input=block.input) if missing else Wait()

    def most_of(self, step: str, block: BlockView) -> int:  # noqa: ARG002 - as the others
        """Each step runs once."""
        return 1

    def ways(self, block: BlockView) -> list[Way]:
        """The end is labelled with a join that does not wait for all."""
        join = read_join(block.options.get("join"), len(block.steps))
        enough = {"all": "", "any": "the first", "n_of": f"the first {join.least}"}.get(
            join.kind, "whatever comes of it"
        )
        return [*(Way(None, step) for step in block.steps), *(Way(step, None, enough) for step in block.steps)]


def _outcome(block: BlockView, join: Join, *, outstanding: int) -> Decision | None:
    """How the block ends; None while that is open. It stays the same whatever becomes of the steps under way."""
    succeeded = [execution for execution in block.settled if execution.status == "succeeded"]
    failures = [execution for execution in block.settled if execution.status == "failed"]
    skipped = sum(1 for execution in block.settled if execution.status == "skipped")
    needed = join.needed(len(block.steps), skipped)
    if join.kind == "settled":
        return None if outstanding else Finish({step: _report(block, step) for step in block.steps})
    if join.kind == "all" and failures:
        return failed(failures[0])
    if len(succeeded) + outstanding < needed:
        return _missed(join, succeeded, failures, skipped)
    if join.kind == "all":
        return None if outstanding else Finish(outputs_in_order(block, succeeded))
    if join.kind == "n_of":
        return Finish(outputs_in_order(block, succeeded[:needed])) if len(succeeded) >= needed else None
    if succeeded:
        return Finish(succeeded[0].output)
    return None if outstanding else Finish(None)


def _missed(join: Join, succeeded: list[Settled], failures: list[Settled], skipped: int) -> Decision:
    wanted = "one success" if join.kind == "any" else f"{join.least} successes"
    counts = f"{len(succeeded)} succeeded, {len(failures)} failed, {skipped} were skipped"
    if failures:
        return failed(failures[0], f"There cannot be {wanted} any more: {counts}. First {failures[0].step!r}: ")
    message = f"There cannot be {wanted} any more: {counts}. Lower `n_of`, or look at the conditions of the steps."
    return Fail(message, FailureCode.INVALID_OUTPUT)


def _report(block: BlockView, step: str) -> JsonValue:
    execution = next(execution for execution in block.settled if execution.step == step)
    if execution.failure is not None:
        return {"status": "failed", "failure": execution.failure.to_json()}
    return {"status": execution.status, "output": execution.output}
