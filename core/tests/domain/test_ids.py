from hypothesis import given

from agentplat.domain.ids import StepPath

from .profiles import tried
from .values import names, paths


@given(paths())
@tried(0.25)
def test_a_path_survives_its_text(path: StepPath) -> None:
    assert path == StepPath.parse(str(path))


@given(paths(), paths())
@tried(0.25)
def test_two_paths_never_share_a_text(one: StepPath, other: StepPath) -> None:
    assert (one == other) == (str(one) == str(other))


@given(paths(), names())
@tried(0.2)
def test_a_child_knows_its_parent_its_step_and_its_number(path: StepPath, step: str) -> None:
    child = path.child(step, 3)

    assert (path, step, 3) == (child.parent, child.step, child.number)


def test_the_first_execution_needs_no_number_and_the_root_no_text() -> None:
    path = StepPath().child("polish", 2).child("critique", 1)

    assert str(path) == "polish#2/critique"
    assert str(StepPath()) == ""
    assert StepPath() == StepPath.parse("")
    assert (StepPath().step, StepPath().number) == ("", 1)
    assert StepPath() == StepPath().parent
