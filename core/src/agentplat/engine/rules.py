"""What the interpreter is handed: expressions, strategies and checks, all free of I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentplat.contracts.store import Claim
from agentplat.domain.errors import StepError, UsageError, WorkflowInvalid
from agentplat.domain.failure import FailureCode
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.strategy import Strategy
from agentplat.domain.workflow import Block
from agentplat.engine.catalog import Catalog, missing
from agentplat.engine.definitions import CatalogNames, Definitions, Pinned
from agentplat.language.compiler import compile_steps
from agentplat.language.expressions import ExpressionEngine


class CatalogRules:
    """The `Rules` of `domain.interpreter`, over one generation of the catalog."""

    def __init__(
        self, catalog: Catalog, expressions: ExpressionEngine, decides: Callable[[str], None] = lambda _: None
    ) -> None:
        """`decides` is told which task is decided on; see `engine.history.WatchedRules`."""
        self._catalog = catalog
        self._expressions = expressions
        self.decides = decides
        self._strategies: dict[str, Strategy] = {}

    def evaluate(self, template: JsonValue, scope: Mapping[str, JsonValue]) -> JsonValue:
        return self._expressions.render(template, scope)

    def truth(self, expression: str, scope: Mapping[str, JsonValue]) -> bool:
        return self._expressions.truth(expression, scope)

    def strategy(self, name: str) -> Strategy:
        known = self._strategies.get(name)
        if known is None:
            known = self._strategies[name] = self._catalog.strategy(name)
        return known

    def check(self, name: str, output: JsonValue, options: Mapping[str, JsonValue]) -> bool:
        return self._catalog.check(name)(output, options)

    def validate_steps(self, steps: JsonValue, block: Block) -> Sequence[JsonObject]:
        try:
            return compile_steps(steps, block, CatalogNames(self._catalog))
        except WorkflowInvalid as error:
            whose = f"of block {block.name!r}" if block.name else "of the workflow"
            message = f"the plan {whose} cannot be used: {'; '.join(error.diagnostics[:5])}"
            details: JsonObject = {"diagnostics": list(error.diagnostics)}
            raise StepError(FailureCode.INVALID_OUTPUT, message, retryable=False, details=details) from None


class CurrentRules:
    """The rules of the generation that is current. One per worker."""

    def __init__(
        self, catalog: Callable[[], Catalog], definitions: Definitions, decides: Callable[[str], None]
    ) -> None:
        self._catalog = catalog
        self._definitions = definitions
        self._decides = decides
        self._expressions = ExpressionEngine()
        self._generation: Catalog | None = None  # of which the following is known
        self._rules: CatalogRules | None = None
        self._lacks: dict[tuple[str, str | None], str | None] = {}

    async def means(self, claim: Claim) -> tuple[Pinned, CatalogRules] | str:
        """What it takes to work on a task; or why that cannot be done here."""
        if claim.unreadable is not None:
            return claim.unreadable
        try:
            pinned = await self._definitions.pinned(claim.type, claim.definition)
        except UsageError as error:
            return f"this worker cannot read its workflow: {error.detail}"
        rules, lack = self._of(claim.type, claim.definition, pinned)
        return (pinned, rules) if lack is None else lack

    def _of(self, type: str, definition: str | None, pinned: Pinned) -> tuple[CatalogRules, str | None]:
        """And what it lacks for this workflow, if anything."""
        catalog = self._catalog()
        if self._rules is None or catalog is not self._generation:
            self._generation, self._rules = catalog, CatalogRules(catalog, self._expressions, self._decides)
            self._lacks = {}
        key = (type, definition)
        if key not in self._lacks:
            self._lacks[key] = missing(catalog, pinned.workflow.root, pinned.agents, pinned.revisions)
        return self._rules, self._lacks[key]
