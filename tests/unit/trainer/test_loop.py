"""The loop over scripted learners and a real store: what is saved, loaded, reset and waited for."""

import asyncio
from pathlib import Path

import pytest
from prorl_api.commands import Command, CommandKind, CommandState
from prorl_api.spec_lifecycle import Resume
from prorl_api.wire import Stage
from prorl_trainer.actions import StopRequested
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.errors import GuardError, NonFiniteError
from scripted_run import HIGH, Run


async def test_an_update_that_is_not_finite_is_skipped_and_the_run_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.1, None, None, 0.2])
    state = await run.train()
    assert run.learners.policy == [0.1] + [0.2] * 5
    assert run.ordinals == list(range(8)), "its prompts are used up"
    assert [r["values"]["non_finite"] for r in run.records("step")][:4] == [0.0, 1.0, 1.0, 0.0]
    skipped = run.records("step")[2]["values"]
    assert "kl" not in skipped
    assert (skipped["non_finite_steps"], skipped["health_non_finite_steps"]) == (2.0, 1.0)
    assert skipped["reward_std_math"] == 0.5
    assert state.guard.counts == {}


async def test_a_rollback_goes_to_the_last_checkpoint_from_before_the_signal(
    tmp_path: Path,
) -> None:
    """Step 4 measures the policy after step 3: that of step 2 is the last healthy one."""
    kl = [0.1, 0.2, 0.3, HIGH, HIGH, HIGH, 0.4]
    run = Run(tmp_path, kl, guard={"klAbove": 1, "consecutive": 3})
    state = await run.train()
    assert state.step == 8
    assert run.learners.policy == [0.1, 0.2] + [0.4] * 6
    assert run.ordinals == list(range(12)), "no prompt is drawn again"
    (record,) = run.records("guard")
    assert record["step"] == 6
    assert record["values"] | {"message": ""} == {
        "actions": 1, "lastAction": "Rollback", "lastRule": "klAbove", "lastStep": 6,
        "wentOnFrom": 2, "message": "",
    }  # fmt: skip
    assert [r["step"] for r in run.records("start")] == [2]
    assert run.status.document().guard == state.guard.last
    assert [m.step for m in run.found] == [2], "what stands is told"
    bad = [p.name[:13] for p in (tmp_path / "checkpoints").glob("*.bad-*")]
    assert sorted(bad) == ["step-00000004", "step-00000005"]


async def test_a_rollback_drops_what_was_begun_for_the_policy_that_it_gives_up(
    tmp_path: Path,
) -> None:
    run = Run(
        tmp_path, [0.1, 0.2, 0.3, HIGH, HIGH, HIGH, 0.4],
        guard={"klAbove": 1, "consecutive": 3}, rollout={"maxStaleness": 1},
    )  # fmt: skip
    assert (await run.train()).step == 8
    assert run.learners.policy == [0.1, 0.2] + [0.4] * 6
    assert run.ordinals.count(6) == 2, "its group was dropped, and so drawn again"


async def test_what_a_rollback_undoes_is_the_resets_since_then_too(tmp_path: Path) -> None:
    kl = [0.1, 0.2, 0.3, 0.3, HIGH, HIGH, HIGH, 0.4]
    run = Run(
        tmp_path, kl, every=2, guard={"klAbove": 1, "consecutive": 3},
        referenceReset={"everySteps": 5, "klSpike": {"enabled": False}},
    )  # fmt: skip
    state = await run.train()
    assert [r["step"] for r in run.records("guard")] == [7]
    assert [r["step"] for r in run.records("start")] == [2]
    assert [r["step"] for r in run.records("reset")] == [5, 5], "the first one was undone"
    assert (state.reference.version, state.reference.last_reset_step) == (1, 5)


async def test_rollbacks_are_used_up_then_the_run_fails_with_the_number(tmp_path: Path) -> None:
    kl = [0.1, *(0.1, HIGH, HIGH) * 3]
    run = Run(tmp_path, kl, guard={"klAbove": 1, "consecutive": 2, "maxRollbacks": 2})
    with pytest.raises(GuardError, match=r"kl was above 1 \(9 now\) .* 2 of 2 rollbacks"):
        await run.train()
    assert len(run.records("guard")) == 2
    assert run.store.load(Resume.LATEST) is not None


async def test_without_a_healthy_checkpoint_a_rollback_fails(tmp_path: Path) -> None:
    run = Run(tmp_path, [HIGH], guard={"klAbove": 1, "consecutive": 2})
    with pytest.raises(GuardError, match="has no checkpoint from before step 0"):
        await run.train()
    assert run.steps_on_disk() == [1], "what there is stays"


async def test_updates_that_stay_not_finite_end_with_the_code_of_that(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.1, None], guard={"action": "Fail"})
    with pytest.raises(NonFiniteError, match="not finite for 3 steps in a row up to step 4"):
        await run.train()
    assert run.learners.policy == [0.1]


async def test_a_pause_is_saved_and_waits_for_resume(tmp_path: Path) -> None:
    kl = [0.1, HIGH, HIGH, 0.2]
    guard = {"klAbove": 1, "consecutive": 2, "action": "Pause"}
    run = Run(tmp_path, kl, every=100, guard=guard)
    too_early = run.control.command(Command(id="a", kind=CommandKind.RESUME))
    assert (too_early.state, too_early.message) == (CommandState.FAILED, "The run is not paused.")
    training = asyncio.create_task(run.train())
    while run.status.document().stage is not Stage.PAUSED:
        await asyncio.sleep(0)
    message = run.status.document().message
    assert message.startswith("kl was above 1 (9 now) for 2 steps in a row up to step 3")
    assert run.steps_on_disk() == [3]

    training.cancel()
    await asyncio.wait({training})
    again = Run(tmp_path, [0.2], every=100, guard=guard)
    checkpoint = again.store.load(Resume.LATEST)
    assert checkpoint is not None
    training = asyncio.create_task(again.train(checkpoint.state))
    while again.status.document().stage is not Stage.PAUSED:
        await asyncio.sleep(0)
    resumed = again.control.command(Command(id="b", kind=CommandKind.RESUME))
    assert resumed.state is CommandState.DONE
    assert (await training).step == 8
    assert again.ordinals == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("update_s", "saved"), [(1.0, [8]), (4.0, [3, 6, 8]), (10.0, [1, 2, 3, 4, 5, 6, 7, 8])]
)
async def test_a_step_that_ends_so_long_after_the_last_save_is_saved(
    tmp_path: Path, update_s: float, saved: list[int]
) -> None:
    checkpoint = {"everySteps": 100, "everySeconds": 10}
    run = Run(tmp_path, [0.1], update_s=update_s, checkpoint=checkpoint)
    await run.train()
    assert [r["step"] for r in run.records("checkpoint")] == saved


async def test_a_stop_ends_a_pause(tmp_path: Path) -> None:
    run = Run(tmp_path, [HIGH], guard={"klAbove": 1, "consecutive": 1, "action": "Pause"})
    training = asyncio.create_task(run.train())
    while run.status.document().stage is not Stage.PAUSED:
        await asyncio.sleep(0)
    run.control.stop()
    with pytest.raises(StopRequested, match="after step"):
        await training


async def test_a_new_best_is_saved_and_becomes_the_reference_of_a_later_reset(
    tmp_path: Path,
) -> None:
    run = Run(
        tmp_path, [0.1, 0.2, 0.3, 0.4], scores=[0.1, 0.1, 0.5, 0.4, 0.4, 0.4, 0.4], every=100,
        referenceReset={"everySteps": 4, "newReference": "Best", "optimizer": "Clear",
                        "rewarmSteps": 1, "stall": {"enabled": False}},
        algorithm={"steps": 6, "warmupSteps": 0, "learningRate": 1.0},
    )  # fmt: skip
    state = await run.train()
    assert run.learners.references == [([0.1, 0.2], True)]
    assert run.learners.rates == [1.0, 1.0, 1.0, 1.0, 0.5, 1.0]
    assert (state.best_steps, state.best_accuracy) == ([2], 0.5)
    assert run.steps_on_disk() == [2, 4, 6]
    assert state.reference.log[0].source_step == 2


async def test_a_best_checkpoint_that_is_lost_leaves_the_current_policy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(
        tmp_path, [0.1], scores=[0.5, 0.4], every=100,
        referenceReset={"everySteps": 2, "newReference": "Best"}, algorithm={"steps": 3},
    )  # fmt: skip
    save = run.save

    async def save_and_lose(state: RunState) -> None:
        await save(state)
        await run.saves.settle()
        (tmp_path / "checkpoints" / "step-00000000" / "shards" / "a").write_text("{}")

    run.save = save_and_lose  # type: ignore[method-assign]
    state = await run.train()
    assert run.learners.references == [([0.1, 0.1], False)]
    assert state.reference.log[0].source_step == 2
    assert "the current policy becomes the reference" in caplog.text


async def test_a_stall_resets_in_the_step_that_shows_it(tmp_path: Path) -> None:
    run = Run(
        tmp_path, [0.1], scores=[0.5, 0.6, 0.6, 0.6, 0.6], every=100,
        referenceReset={"everySteps": 0, "minGapSteps": 0, "stall": {"evals": 2}},
    )  # fmt: skip
    await run.train()
    resets = [(r["step"], r["values"]["reason"]) for r in run.records("reset")]
    assert resets == [(3, "Stall"), (5, "Stall"), (7, "Stall")]
