"""A suite of laws that a broken interpreter passes is worth nothing: here each of many faults is caught by them."""

import pytest
from agentplat_testkit.simulation.entries import LawBroken
from agentplat_testkit.simulation.world import REAL, Core
from hypothesis import given, seed

from agentplat.domain.workflow import Workflow

from .faults import FAULTS, Fault, faulty
from .histories import Simulation
from .profiles import searched
from .workflows import Kinds, tapes, workflows


def try_laws(core: Core, kinds: Kinds, examples: int) -> None:
    @seed(2026)
    @searched(examples)
    @given(workflows(kinds), tapes())
    def histories_keep_the_laws(workflow: Workflow, tape: bytes) -> None:
        Simulation(workflow, tape, core=core).run()

    histories_keep_the_laws()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_the_laws_catch(fault: Fault) -> None:
    with faulty(fault) as core, pytest.raises(LawBroken):
        try_laws(core, fault.kinds, 6_000)


def test_the_laws_find_nothing_in_a_copy_without_a_fault() -> None:
    with faulty(Fault("none", "def evolve(", "def evolve(")) as core:
        assert core.evolve is not REAL.evolve

        try_laws(core, "any", 50)


def test_no_two_faults_are_the_same() -> None:
    assert len(FAULTS) == len({(fault.old, fault.new) for fault in FAULTS}) == len({fault.what for fault in FAULTS})
