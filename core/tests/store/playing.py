"""The parts of the state machine: the database that it plays on, what its owners know, and what it may draw."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st

from agentplat.contracts.store import Closing, End, InboxItem, Keep, Park, Release, Store, Write
from agentplat.domain.task import Lease, TaskState
from agentplat.store.connect import open_store
from agentplat.store.renewal import Renewal

from .looking import Beside
from .making import FAILURE

QUEUES = ("default", "slow")
HOUR = 3600.0

CLOSINGS: dict[str, Closing] = {
    "keep": Keep(),
    "park": Park(wake_after=None),
    "park for an hour": Park(wake_after=HOUR),
    "park for a moment": Park(wake_after=0.0),
    "release": Release(reason="handed back"),
    "release for an hour": Release(delay=HOUR, reason="not yet"),
    "done": End(status=TaskState.DONE, output={"text": "done"}, failure=None),
    "error": End(status=TaskState.ERROR, output=None, failure=FAILURE),
}


class World:
    """One database with two stores, as two processes have them. It outlives the histories that are played on it."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.stores: Sequence[Store] = [open_store(url), open_store(url)]
        for store in self.stores:
            self.runner.run(store.open())
        self.beside = Beside(url)
        self.keeper = Renewal(url)
        self.histories = 0
        self.moments = 0
        self.struck: Counter[str] = Counter()

    def close(self) -> None:
        self.keeper.close()
        self.beside.close()
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()


@dataclass
class Owner:
    """What a worker knows of a task that it claimed; the lease may be lost long since."""

    lease: Lease
    end: int  # of the journal, as far as it knows
    read: Sequence[InboxItem] = ()
    last: Write | None = None
    attempt: int = 0
    calls: int = 0


@dataclass(frozen=True)
class New:
    """A task to be submitted. Of one key and another body there is no second one."""

    key: str | None = None
    body: str = "x"
    priority: int = 0
    queue: str = "default"
    delayed: bool = False


@dataclass(frozen=True)
class Part:
    """One write of a commit, by the owner `who`, counted from the latest claim."""

    who: int = 0
    events: tuple[str, ...] = ("block",)
    closing: str = "keep"
    under_way: bool = True
    calls: int = 0
    place: Literal["known", "true", "before", "behind"] = "known"  # in the journal: as the owner knows, or as it is
    forged: Literal["no", "worker", "fence"] = "no"
    spoiled: bool = False


_EVENTS: Sequence[tuple[str, ...]] = (
    (),
    (),
    ("block",),
    ("block", "block"),
    ("claimed", "started"),
    ("started",),
    ("started",),
    ("succeeded",),
    ("told",),
    ("told", "block"),
)

Move = tuple[str, dict[str, Any]]
"""A method of Machine and its arguments."""

_nth = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 4, 6, 9])
_new = st.builds(
    New,
    key=st.sampled_from([None, None, None, "a", "b"]),
    body=st.sampled_from(["x", "x", "y"]),
    priority=st.sampled_from([0, 0, 1]),
    queue=st.sampled_from(["default", "default", "slow"]),
    delayed=st.sampled_from([False, False, False, True]),
)
_part = st.builds(
    Part,
    who=_nth,
    events=st.sampled_from(_EVENTS),
    closing=st.sampled_from(["keep"] * 5 + ["park", "park for a moment"] + list(CLOSINGS)),
    under_way=st.booleans(),
    calls=st.sampled_from([0, 0, 1, 2]),
    place=st.sampled_from(["known"] * 12 + ["true", "true", "before", "behind"]),
    forged=st.sampled_from(["no"] * 14 + ["worker", "fence"]),
    spoiled=st.sampled_from([False] * 11 + [True]),
)

_MOVES: Mapping[str, tuple[int, st.SearchStrategy[dict[str, Any]]]] = {
    "submit": (3, st.fixed_dictionaries({"new": st.lists(_new, min_size=1, max_size=3)})),
    "tell": (
        4,
        st.fixed_dictionaries(
            {
                "task": _nth,
                "kind": st.sampled_from(["signal", "signal", "signal", "cancel"]),
                "key": st.sampled_from(["a", "b", "c"]),
            }
        ),
    ),
    "let_time_pass": (2, st.fixed_dictionaries({})),
    "start_worker": (2, st.fixed_dictionaries({})),
    "claim": (
        8,
        st.fixed_dictionaries(
            {
                "worker": _nth,
                "limit": st.integers(1, 3),
                "queues": st.sampled_from([("default",), ("slow",), QUEUES, QUEUES, QUEUES[::-1]]),
                "suspects": st.sampled_from([False, False, True]),
                "begin": st.booleans(),
            }
        ),
    ),
    "commit": (8, st.fixed_dictionaries({"parts": st.lists(_part, min_size=1, max_size=3)})),
    "repeat": (2, st.fixed_dictionaries({"who": _nth})),
    "read": (2, st.fixed_dictionaries({"who": st.lists(_nth, min_size=1, max_size=2)})),
    "look": (1, st.fixed_dictionaries({"worker": _nth})),
    "expire": (1, st.fixed_dictionaries({"worker": _nth, "comes_back": st.booleans()})),
    "renew": (1, st.fixed_dictionaries({"worker": _nth, "by_keeper": st.booleans()})),
    "leave": (1, st.fixed_dictionaries({"worker": _nth})),
    "kill": (
        2,
        st.fixed_dictionaries(
            {"worker": _nth, "blame": st.sampled_from([None, None, 0, 1, 2]), "by_keeper": st.booleans()}
        ),
    ),
    "crash": (3, st.fixed_dictionaries({"times": st.sampled_from([1, 1, 2, 4])})),
    "sweep": (3, st.fixed_dictionaries({})),
    "write_by_hand": (
        2,
        st.fixed_dictionaries(
            {"task": _nth, "closing": st.sampled_from(["keep", "error"]), "stale": st.sampled_from([0, 0, 0, 1])}
        ),
    ),
}
_NAMES = [name for name, (weight, _) in _MOVES.items() for _ in range(weight)]


@st.composite
def moves(draw: st.DrawFn) -> Move:
    """Some moves are more frequent than others, so that histories lead somewhere."""
    name = draw(st.sampled_from(_NAMES))
    return name, draw(_MOVES[name][1])
