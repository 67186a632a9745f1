"""What one process of a database tells the others."""

from __future__ import annotations

from enum import StrEnum


class Hint(StrEnum):
    """What there may be to look at. Nobody may depend on being told: the truth is always a look."""

    WORK = "work"  # something may be claimable
    SUSPECT = "suspect"  # something that has to run alone may be claimable
    TOLD = "told"  # an inbox has something
    DELAY = "delay"  # a task was submitted that may be claimed later: each process has to wait for its time
    TIMER = "timer"  # something will be due that was not known before; said within the process only
    CHANGED = "changed"  # a task was submitted, claimed, parked or ended
