"""What a measured worker does besides its work: it waits at the gate, and is profiled when that is asked for."""

from __future__ import annotations

import atexit
import cProfile
import os

from harness.tally import Tally

PROFILE_VARIABLE = "BENCH_PROFILE"  # a file for what cProfile saw; the worker's number is appended


def begin() -> None:
    """Called on the worker's event loop before it registers, so that waiting costs no lease."""
    Tally.attached().gate()
    if PROFILE_VARIABLE in os.environ:
        profile = cProfile.Profile()
        atexit.register(_end, profile, f"{os.environ[PROFILE_VARIABLE]}.{os.getpid()}.prof")
        profile.enable()


def _end(profile: cProfile.Profile, file: str) -> None:
    profile.disable()
    profile.dump_stats(file)
