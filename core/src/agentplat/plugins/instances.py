"""The objects that were made of specs: one per process and configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import RLock
from typing import TypeVar, cast

from agentplat.contracts.model import ModelProvider
from agentplat.plugins.offers import Spec

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Instances:
    """Keeps what is made. Two specs that are equal share an instance, whatever generation they belong to."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], list[tuple[Spec, object]]] = {}
        self._guard = RLock()  # an interface may ask from a thread

    def kept(self, kind: str, spec: Spec, make: Callable[[], T]) -> T:
        """The instance for `spec`; made now when there is none. What cannot be made is tried again next time."""
        with self._guard:
            same_name = self._made.setdefault((kind, spec.name), [])
            for known, instance in same_name:
                if known is spec or known == spec:
                    return cast("T", instance)  # one `kind` keeps one type
            made = make()
            same_name.append((spec, made))
            return made

    async def aclose(self) -> None:
        """Close and forget all model providers. One that fails is logged; the others are closed."""
        with self._guard:
            keys = [key for key in self._made if key[0] == "model provider"]
            providers = [instance for key in keys for _, instance in self._made.pop(key)]
        for provider in providers:
            try:
                await cast("ModelProvider", provider).aclose()
            except (
                Exception,
                SystemExit,
            ):  # a plugin's code may raise anything; the others are to be closed all the same
                logger.exception("model_provider_not_closed")
