"""When losing learners again and again is no accident any more."""

from itertools import count

from prorl_trainer.losses import MAX_LOSSES, Losses


def test_losses_at_the_same_step_are_too_many_at_last() -> None:
    losses = Losses()
    assert next(n for n in count(1) if losses.add(7)) == MAX_LOSSES == losses.in_a_row


def test_losses_with_a_new_step_between_them_never_are() -> None:
    losses = Losses()
    assert not any(losses.add(step) for step in range(100))


def test_steps_that_are_only_repeated_do_not_count_as_new() -> None:
    losses = Losses()
    assert [losses.add(step) for step in (15, 12, 15)] == [False, False, True]
