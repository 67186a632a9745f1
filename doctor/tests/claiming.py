"""A claim by a core that does not look at the limits: what a limit's own statements would do if they were wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from agentplat import store

from .healthy import WORKER

_SOURCE = Path(store.__file__).parents[1]
_BLINDED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "claim_fairly.sql": (
        ("least(p.had + p.quota, p.free, p.had + :limit)", "least(p.had + p.quota, p.had + :limit)"),
        ("WHERE h.place <= coalesce(b.free, h.place)", ""),
    ),
    "choose_fairly.sql": (
        ("WHERE a.place <= coalesce(b.free, a.place)", ""),
        ("WHERE r.place <= coalesce(b.free, r.place)", ""),
    ),
}
_CLAIM = """
import asyncio, sys, uuid
from agentplat.store.connect import open_store

async def claim(url, worker_id):
    store = open_store(url)
    print(len(await store.claim(uuid.UUID(worker_id), 1)))
    await store.close()

asyncio.run(claim(*sys.argv[1:]))
"""


def claim_past_limits(url: str) -> None:
    """Let the worker take one more task, as workers do, and whatever the limits say."""
    with TemporaryDirectory() as folder:
        copied = Path(folder) / "agentplat"
        shutil.copytree(_SOURCE, copied, ignore=shutil.ignore_patterns("__pycache__"))
        for name, changes in _BLINDED.items():
            file = copied / "store" / "sql" / name
            text = file.read_text(encoding="utf-8")
            for before, after in changes:
                assert text.count(before) == 1, f"{name} has another text now: {before}"
                text = text.replace(before, after)
            file.write_text(text, encoding="utf-8")
        variables = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", _CLAIM, url, str(WORKER)]
        claimed = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert claimed.stdout == "1\n", claimed.stdout + claimed.stderr
