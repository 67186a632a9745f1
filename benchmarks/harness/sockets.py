"""A server that keeps connections open and silent until it is told to answer all of them: a model that thinks.

`python -m harness.sockets PORT`; SIGUSR1 lets it send a byte to everybody.
"""

from __future__ import annotations

import asyncio
import signal
import sys


async def serve(port: int) -> None:
    """For ever."""
    waiting: list[asyncio.StreamWriter] = []
    answers = asyncio.Event()

    async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting.append(writer)
        if answers.is_set():  # for its client the connection was there before this server took it
            answer()

    def answer() -> None:
        answers.set()
        for writer in waiting:
            writer.write(b".")
        waiting.clear()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, answer)
    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
