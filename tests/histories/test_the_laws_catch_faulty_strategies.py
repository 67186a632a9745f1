"""Laws that a broken strategy passes are worth nothing: here each of many faults is caught by them."""

from __future__ import annotations

import random

import pytest
from agentplat_testkit.simulation.entries import LawBroken
from agentplat_testkit.simulation.tape import Tape

from agentplat import Strategy

from .contracts import contracts
from .faults import FAULTS, Fault, faulty

TRIES = 4_000


def play(fault: Fault, made: type[Strategy], monkeypatch: pytest.MonkeyPatch, tries: int) -> None:
    """So many random blocks of each contract test of the strategy that has the fault."""
    luck = random.Random(7)
    for contract in contracts():
        if contract.spec().factory == fault.factory:
            monkeypatch.setattr(contract, "made", made)
            for _ in range(tries):
                contract.play(Tape(luck.randbytes(luck.randrange(150))))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_the_laws_catch(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty(fault) as made, pytest.raises(LawBroken, match=fault.caught):
        play(fault, made, monkeypatch, TRIES)


def test_the_laws_find_nothing_in_a_copy_without_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = Fault("none", FAULTS[0].factory, "def decide(", "def decide(", "")
    with faulty(fault) as made:
        play(fault, made, monkeypatch, 300)


def test_there_are_at_least_twelve_faults_and_no_two_are_the_same() -> None:
    assert (
        len({fault.what for fault in FAULTS}) == len({(fault.module, fault.old, fault.new) for fault in FAULTS}) >= 12
    )
