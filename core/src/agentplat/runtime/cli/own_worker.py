"""A worker that belongs to another command (`dev`, `run`, ...): a keeper in a process of its own, that ends with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Self

from agentplat.domain.errors import UnavailableError
from agentplat.runtime.settings import Settings

OWNED_VARIABLE = "AGENTPLAT_OWNED"
"""Set for a keeper whose owner holds its standard input: it ends when that is closed, whatever its owner died of."""
_DRAIN_SECONDS = 3.0  # somebody waits at a terminal; what runs longer is handed back, and goes on next time
_POLL_SECONDS = 0.2
_PATIENCE = _DRAIN_SECONDS + 10


class OwnWorker:
    """Made by `start`; to be stopped."""

    def __init__(self, keeper: asyncio.subprocess.Process) -> None:
        self._keeper = keeper

    @classmethod
    async def start(cls, settings: Settings) -> Self:
        """A worker under these settings. In a session of its own: Ctrl-C is its owner's to decide about."""
        worker = settings.worker
        variables = {
            OWNED_VARIABLE: "1",
            "AGENTPLAT_PROJECT": str(settings.project),
            "AGENTPLAT_DATABASE_URL": settings.absolute_database_url,
            "AGENTPLAT_LOG__LEVEL": settings.log.level,
            "AGENTPLAT_RELOAD": str(settings.reload),
            "AGENTPLAT_WORKER__DRAIN_SECONDS": str(min(worker.drain_seconds, _DRAIN_SECONDS)),
            "AGENTPLAT_WORKER__POLL_SECONDS": str(min(worker.poll_seconds, _POLL_SECONDS)),
        }
        if settings.documents is not None:
            variables["AGENTPLAT_DOCUMENTS"] = str(settings.documents)
        command = [sys.executable, "-P", "-m", "agentplat.runtime.cli", "worker"]
        keeper = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, **variables},
            stdin=asyncio.subprocess.PIPE,
            stdout=2,  # whatever an agent prints is no result of the command
            start_new_session=True,
        )
        return cls(keeper)

    def check(self) -> None:
        """UnavailableError when it has ended although nobody stopped it."""
        if self._keeper.returncode is not None:
            raise UnavailableError(
                f"The worker ended by itself (exit code {self._keeper.returncode}); what it said stands above. "
                "Nothing is lost: the next worker on this database goes on where it was."
            )

    async def stop(self) -> None:
        """Let it drain, and wait for its end."""
        if self._keeper.returncode is None:
            self._keeper.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._keeper.wait()
        except TimeoutError:
            self._keeper.kill()
            await self._keeper.wait()
