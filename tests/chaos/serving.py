"""An API process, and submissions by HTTP."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import requests

from .processes import wait_for

_ADDRESS = re.compile(r"agentplat is at (http://\S+?)\.?\s")


class Api:
    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self.process = process
        self.session = requests.Session()

    def submit(self, key: str) -> UUID | None:
        """The accepted task; None when the answer is that the database does not answer. Any other answer is a fault."""
        body = {"type": "workflow:ten", "input": {"pause": 0.02}}
        answer = self.session.post(f"{self.url}/tasks", json=body, headers={"Idempotency-Key": key}, timeout=60)
        if answer.status_code == 503:
            assert answer.json()["error_code"] == "store_unavailable", answer.text
            return None
        assert answer.status_code == 201, answer.text
        return UUID(answer.json()["id"])

    def is_readable(self) -> bool:
        return self.session.get(f"{self.url}/tasks", timeout=60).status_code == 200


@contextmanager
def served(folder: Path, database_url: str) -> Iterator[Api]:
    """An API over the project in `folder`."""
    log = folder / "api.log"
    environment = {
        **os.environ,
        "AGENTPLAT_DATABASE_URL": database_url,
        "AGENTPLAT_IDENTITY__KEY": "0123456789abcdef",
        "AGENTPLAT_LOG__FORMAT": "json",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "agentplat.runtime.cli", "api", "--port", "0"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        found = wait_for(lambda: _ADDRESS.search(log.read_text(errors="replace")))
        api = Api(found[1], process)
        yield api
        api.session.close()
    finally:
        process.terminate()
        process.wait(60)
