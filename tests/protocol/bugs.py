"""The bugs of `bugs.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from .patching import Bug

_FILE = Path(__file__).with_name("bugs.toml")


def _bug(entry: dict[str, Any]) -> Bug:
    changes = tuple((change["before"], change["after"]) for change in entry.pop("change"))
    return Bug(changes=changes, **{**entry, "caught_by": tuple(entry["caught_by"])})


BUGS = tuple(map(_bug, tomllib.loads(_FILE.read_text(encoding="utf-8"))["bug"]))
