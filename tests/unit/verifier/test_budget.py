"""What counts as a program's time."""

import pytest
from prorl_verifier.sandbox.budget import Budget, Overloaded, patience_s


class Times:
    """A clock, and the time that a process has waited for a processor; both are set."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waited = 0.0

    def budget(self, limit_s: float) -> Budget:
        return Budget(limit_s, clock=lambda: self.now, waited_s=lambda process: self.waited)


def test_waiting_for_a_processor_does_not_count() -> None:
    times = Times()
    times.waited = 7.0  # before the start
    budget = times.budget(5.0)
    budget.start(1)
    times.now, times.waited = 103.0, 9.0
    assert (budget.used_s, budget.left_s) == (1.0, 4.0)


def test_the_time_of_all_processes_is_added_up_and_between_them_none_passes() -> None:
    times = Times()
    budget = times.budget(5.0)
    budget.start(1)
    times.now = 102.0
    budget.stop()
    times.now = 110.0
    budget.start(2)
    times.now = 111.5
    assert (budget.used_s, budget.left_s) == (3.5, 1.5)


def test_a_program_that_was_not_given_its_time_is_not_blamed() -> None:
    times = Times()
    budget = times.budget(5.0)
    budget.start(1)
    times.now += patience_s(5.0) + 1
    times.waited = times.now - 100.0 - 4.0
    with pytest.raises(Overloaded, match=r"of 85 s the node has given it 4\.0 s only"):
        budget.left_s  # noqa: B018 - it is asked


def test_a_program_that_had_its_time_is_blamed_however_late() -> None:
    times = Times()
    budget = times.budget(5.0)
    budget.start(1)
    times.now += patience_s(5.0) + 1
    assert budget.left_s < 0
