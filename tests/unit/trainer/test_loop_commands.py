"""The loop and what is asked of it: requested resets are made once, a resume moves no reference,
changes take effect between two steps."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prorl_api.commands import Command, CommandKind, CommandState, configure
from prorl_api.job import parse_job
from prorl_api.live import live_of
from prorl_api.spec_lifecycle import Resume
from prorl_api.wire import Stage
from prorl_trainer.actions import StopRequested
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.errors import TrainingError
from scripted_run import HIGH, Run


def ask(run: Run, command_id: str, kind: CommandKind = CommandKind.RESET_REFERENCE) -> CommandState:
    return run.control.command(Command(id=command_id, kind=kind)).state


async def test_a_reset_that_is_asked_for_is_made_once_and_done_when_it_is_durable(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, [0.1, 0.2, 0.3], every=100, referenceReset={"everySteps": 6})
    told: list[tuple[CommandState, int]] = []
    save = run.save

    async def save_and_look(state: RunState) -> None:
        told.append((ask(run, "a"), run.status.document().reference.version))
        await save(state)
        await run.saves.settle()
        told.append((ask(run, "a"), run.status.document().reference.version))

    run.save = save_and_look  # type: ignore[method-assign]
    assert ask(run, "a") is CommandState.ACCEPTED
    state = await run.train()
    assert [(r["step"], r["values"]["reason"]) for r in run.records("reset")] == [
        (1, "Requested"), (7, "Interval"),
    ]  # fmt: skip
    assert told[:2] == [(CommandState.ACCEPTED, 0), (CommandState.DONE, 1)]
    assert run.steps_on_disk() == [7, 8]
    assert run.learners.references[0] == ([0.1], False)
    assert state.reference.log[0].requests == ["a"]
    counted = run.desk.metrics.registry.get_sample_value
    for reason in ("Requested", "Interval"):
        assert counted("prorl_reference_resets_total", {"reason": reason}) == 1
    assert run.control.results[0].message == "The reference is version 1, reset after step 1."


async def test_requests_of_one_moment_are_answered_by_one_reset(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.1])
    ask(run, "a"), ask(run, "b")
    state = await run.train()
    assert [(entry.step, entry.requests) for entry in state.reference.log] == [(1, ["a", "b"])]
    assert [result.state for result in run.control.results] == [CommandState.DONE] * 2


async def test_a_coordinator_that_dies_before_it_could_tell_does_not_reset_again(
    tmp_path: Path,
) -> None:
    """The operator, which has heard nothing, asks its successor again, at any moment."""
    first = Run(tmp_path, [0.1], algorithm={"steps": 3})
    ask(first, "a")
    await first.train()
    for early in (True, False):
        again = Run(tmp_path, [0.2], every=100)
        checkpoint = again.store.load(Resume.LATEST)
        assert checkpoint is not None
        if early:
            ask(again, "a")
        again.control.durable(checkpoint.state, finished=checkpoint.state.step)
        assert ask(again, "a") is CommandState.DONE
        state = await again.train(checkpoint.state)
        assert (state.reference.version, again.learners.references) == (1, [])


async def test_a_reset_that_was_lost_with_its_checkpoint_is_made_by_the_next_coordinator(
    tmp_path: Path,
) -> None:
    first = Run(tmp_path, [0.1])
    ask(first, "a")

    async def die(_: RunState) -> None:
        raise TrainingError("killed")

    first.save = die  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="killed"):
        await first.train()
    assert len(first.learners.references) == 1
    assert first.status.document().reference.version == 0, "nothing of it is durable"
    again = Run(tmp_path, [0.2])
    ask(again, "a")
    assert (await again.train()).reference.version == 1


@pytest.mark.parametrize("every", [1, 3])
async def test_a_resume_never_moves_the_reference(tmp_path: Path, every: int) -> None:
    """Wherever a run is interrupted, its reference is the policy of the step that it would be."""
    made_of: dict[str, Any] = {
        "every": every, "referenceReset": {"everySteps": 2}, "algorithm": {"steps": 5},
    }  # fmt: skip
    whole = Run(tmp_path / "whole", [0.1], **made_of)
    log = (await whole.train()).reference.log
    for stop in range(1, 5):
        part = Run(tmp_path / str(stop), [0.1], **made_of)
        part.at_safe_point = partial(_stop_at, stop)  # type: ignore[method-assign]
        with pytest.raises(TrainingError, match="stopped"):
            await part.train()
        rest = Run(tmp_path / str(stop), [0.1], **made_of)
        checkpoint = rest.store.load(Resume.LATEST)
        if checkpoint is not None:
            await rest.learners.load(checkpoint.shards)
        state = await rest.train(checkpoint.state if checkpoint else None)
        assert state.reference.log == log
        made = part.learners.references + rest.learners.references
        assert [one for i, one in enumerate(made) if one not in made[:i]] == (
            whole.learners.references
        )


async def _stop_at(step: int, state: RunState) -> None:
    if state.step == step:
        raise TrainingError("stopped")


async def test_a_checkpoint_that_is_asked_for_in_a_pause_is_there_already(tmp_path: Path) -> None:
    run = Run(tmp_path, [HIGH], guard={"klAbove": 1, "consecutive": 1, "action": "Pause"})
    training = asyncio.create_task(run.train())
    while run.status.document().stage is not Stage.PAUSED:
        await asyncio.sleep(0)
    ask(run, "reset")
    ask(run, "save", CommandKind.CHECKPOINT)
    while run.control.save_requested:
        await asyncio.sleep(0)
    assert run.learners.references == [], "a paused run holds it"
    ask(run, "on", CommandKind.RESUME)
    while ask(run, "reset") is CommandState.ACCEPTED:
        await asyncio.sleep(0)
    run.control.stop()
    with pytest.raises(StopRequested):
        await training
    assert run.learners.references == [([HIGH, HIGH], False)]


def change(run: Run, generation: int, **spec: Any) -> None:
    """As the operator does when the job was changed."""
    body = run.spec.model_dump(by_alias=True)
    for block, values in spec.items():
        body[block] |= values
    metadata = {"name": "j", "generation": generation}
    run.control.command(configure(live_of(parse_job({"metadata": metadata, "spec": body}))))


async def test_a_run_goes_on_for_as_many_steps_as_it_is_given_before_its_last_one_is_done(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, [0.1], every=100, algorithm={"steps": 3}, rollout={"maxStaleness": 1})

    async def at_safe_point(state: RunState) -> None:
        if state.step == 2:
            change(run, 2, algorithm={"steps": 6}, checkpoint={"everySteps": 2, "keep": 4})

    run.at_safe_point = at_safe_point  # type: ignore[method-assign]
    assert (await run.train()).step == 6
    assert run.ordinals == list(range(6))
    assert run.steps_on_disk() == [4, 6], "3 is no multiple of 2, nor the last step any more"
    document = run.status.document()
    assert (document.generation, document.progress.total_steps) == (2, 6)
    assert (run.store.keep, run.desk.context.job.spec.algorithm.steps) == (4, 6)


async def test_what_was_changed_earlier_does_not_take_back_what_was_changed_later(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, [0.1], algorithm={"steps": 2})
    change(run, 3, algorithm={"steps": 4})
    change(run, 2, algorithm={"steps": 9})
    assert (await run.train()).step == 4


async def test_another_guard_ends_a_pause_and_the_next_step_obeys_it(tmp_path: Path) -> None:
    run = Run(tmp_path, [HIGH], guard={"klAbove": 1, "consecutive": 1, "action": "Pause"})
    training = asyncio.create_task(run.train())
    while run.status.document().stage is not Stage.PAUSED:
        await asyncio.sleep(0)
    change(run, 2, checkpoint={"keep": 9})
    assert run.control.paused, "the guard is as it was"
    change(run, 3, guard={"klAbove": 10})
    assert (await training).step == 8
    assert len(run.records("guard")) == 1
