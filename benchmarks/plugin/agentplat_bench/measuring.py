"""What a measured worker does besides its work: it waits at the gate, and is profiled when that is asked for."""

from __future__ import annotations

import atexit
import cProfile
import os
from pathlib import Path

from harness.layers import Sampler
from harness.tally import Tally

CALLS_VARIABLE = "BENCH_PROFILE"  # begin of a file for what cProfile sees of every call, which slows the worker down
SAMPLES_VARIABLE = "BENCH_SAMPLES"  # begin of a file for samples by layer, which cost next to nothing


def begin() -> None:
    """Called on the worker's event loop before it registers, so that waiting costs no lease."""
    Tally.attached().gate()
    if CALLS_VARIABLE in os.environ:
        profile = cProfile.Profile()
        atexit.register(_end, profile, f"{os.environ[CALLS_VARIABLE]}.{os.getpid()}.prof")
        profile.enable()
    if SAMPLES_VARIABLE in os.environ:
        sampler = Sampler()
        atexit.register(sampler.stop, Path(f"{os.environ[SAMPLES_VARIABLE]}.{os.getpid()}.json"))
        sampler.start()


def _end(profile: cProfile.Profile, file: str) -> None:
    profile.disable()
    profile.dump_stats(file)
