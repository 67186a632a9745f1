"""Histories that once went wrong, or that a fault put into the store on purpose spoils, as short as they get."""

from .machine import Machine
from .playing import New, Part, World


def test_a_worker_that_gave_a_task_back_and_got_it_again_cannot_write_by_its_old_lease(world: World) -> None:
    machine = Machine(world)
    machine.live(
        [
            ("submit", {"new": [New()]}),
            ("claim", {"worker": 0, "begin": False}),
            ("commit", {"parts": [Part(events=(), closing="release")]}),
            ("claim", {"worker": 0, "begin": False}),
            ("commit", {"parts": [Part(who=1, events=(), closing="park", calls=1)]}),
        ]
    )
    assert world.struck["a write is lost"] == 1


def test_a_call_that_began_and_ended_within_one_write_is_kept_as_it_ended(world: World) -> None:
    Machine(world).live(
        [
            ("submit", {"new": [New()]}),
            ("claim", {"worker": 0}),
            ("commit", {"parts": [Part(events=(), calls=2)]}),
        ]
    )
    assert world.struck["a write is kept"] == 2


def test_what_was_read_and_not_accounted_for_wakes_the_task_at_the_next_sweep(world: World) -> None:
    Machine(world).live(
        [
            ("submit", {"new": [New()]}),
            ("claim", {"worker": 0}),
            ("tell", {"task": 0, "kind": "signal", "key": "a"}),
            ("read", {"who": [0]}),
            ("commit", {"parts": [Part(closing="park")]}),
            ("sweep", {}),
            ("claim", {"worker": 0, "begin": False}),
            ("read", {"who": [0]}),
            ("commit", {"parts": [Part(events=("told",), closing="done")]}),
        ]
    )
    assert world.struck["a sweep wakes"] == 1


def test_four_deaths_with_a_step_under_way_poison_a_task_and_only_a_hand_ends_it(world: World) -> None:
    Machine(world).live(
        [
            ("submit", {"new": [New()]}),
            ("crash", {"times": 4}),
            ("sweep", {}),
            ("tell", {"task": 0, "kind": "signal", "key": "a"}),
            ("claim", {"worker": 0, "suspects": True}),
            ("sweep", {}),
            ("write_by_hand", {"task": 0, "closing": "error", "stale": 0}),
        ]
    )
    assert world.struck["a poisoned task is ended"] == 1


def test_a_batch_with_one_bad_write_and_one_stale_one_costs_only_these(world: World) -> None:
    Machine(world).live(
        [
            ("submit", {"new": [New(), New(), New()]}),
            ("claim", {"worker": 0, "limit": 3}),
            ("commit", {"parts": [Part(who=0, spoiled=True), Part(who=1, forged="fence"), Part(who=2)]}),
        ]
    )
    assert {what: world.struck[f"a write is {what}"] for what in ("kept", "lost", "refused")} == {
        "kept": 4,
        "lost": 1,
        "refused": 1,
    }
