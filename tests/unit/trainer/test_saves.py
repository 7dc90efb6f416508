"""Saves behind the loop's back, over a real store and writers that wait until they are let go."""

import asyncio
from pathlib import Path

import pytest
from gated_saves import Desk, make_state, until_writing
from prorl_api.commands import Command, CommandKind, CommandState
from prorl_api.exit_codes import ExitCode
from prorl_api.spec_roles import Role
from prorl_api.wire import Notice
from prorl_trainer import actions
from prorl_trainer.checkpoint.state import GuardState
from prorl_trainer.errors import CheckpointError, StorageError, TrainerLostError, TrainingError
from prorl_trainer.saves import SaveTimes


async def test_the_loop_waits_for_the_staging_only(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.save(make_state(1))
    desk.learners.policy = b"9"
    assert (desk.told, desk.store.last_step, desk.found_by_another()) == ([], None, None)
    desk.learners.gate.set()
    await desk.saves.settle()
    assert [step for step, _ in desk.told] == [1]
    assert (desk.store.last_step, desk.found_by_another()) == (1, 1)
    assert (tmp_path / "step-00000001/shards/a").read_bytes() == b"1"


async def test_the_next_save_waits_for_the_one_in_flight(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.save(make_state(1))
    second = asyncio.create_task(desk.save(make_state(2)))
    await until_writing(desk)
    assert desk.learners.log == ["staged 1", "writing"]
    desk.learners.gate.set()
    await second
    await desk.saves.settle()
    assert desk.learners.log == ["staged 1", "writing", "written", "staged 2", "writing", "written"]
    assert [step for step, _ in desk.told] == [1, 2]


async def test_a_process_that_dies_with_a_save_in_flight_leaves_the_one_before(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    desk.learners.gate.set()
    await desk.save(make_state(1))
    await desk.saves.settle()
    desk.learners.gate.clear()
    await desk.save(make_state(2))
    await until_writing(desk)
    assert list(tmp_path.glob("step-00000002.tmp-*")), "it is being written"
    assert (desk.store.last_step, desk.found_by_another()) == (1, 1)
    desk.learners.gate.set()
    await desk.saves.settle()


@pytest.mark.parametrize(
    ("failure", "code"),
    [(StorageError("full"), ExitCode.STORAGE), (CheckpointError("replaced"), ExitCode.CHECKPOINT)],
)
async def test_a_failure_surfaces_at_the_next_safe_point_and_stays(
    tmp_path: Path, failure: TrainingError, code: ExitCode
) -> None:
    desk = Desk(tmp_path, [failure])
    await desk.save(make_state(1))
    await desk.answer(make_state(2))
    desk.learners.gate.set()
    for asked in (desk.saves.settle(), desk.answer(make_state(3)), desk.save(make_state(4))):
        with pytest.raises(TrainingError) as caught:
            await asked
        assert caught.value.exit_code is code
    assert desk.learners.log.count("writing") == 1
    assert not list(tmp_path.glob("step-*")), "nothing is left of it"


async def test_after_learners_were_lost_saves_begin_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, [TrainerLostError("rank 1 is gone")])
    desk.learners.gate.set()
    await desk.save(make_state(1))
    await desk.saves.end()
    assert "rank 1 is gone" in caplog.text
    await desk.save(make_state(1))
    await desk.saves.settle()
    assert desk.store.last_step == 1


@pytest.mark.parametrize("in_flight", [None, 3, 4], ids=["none", "earlier", "same"])
async def test_a_stop_is_acknowledged_when_its_checkpoint_is_durable(
    tmp_path: Path, in_flight: int | None
) -> None:
    desk = Desk(tmp_path)
    if in_flight is not None:
        await desk.save(make_state(in_flight))
    stop = Command(id="a", kind=CommandKind.STOP)
    desk.control.command(stop)
    stopping = asyncio.create_task(desk.answer(make_state(4)))
    await until_writing(desk)
    assert desk.control.command(stop).state is CommandState.ACCEPTED
    assert not stopping.done()
    desk.learners.gate.set()
    with pytest.raises(actions.StopRequested, match="after step 4"):
        await stopping
    assert (desk.control.command(stop).state, desk.control.command(stop).step) == (
        CommandState.DONE, 4,
    )  # fmt: skip
    assert desk.found_by_another() == 4
    assert desk.learners.log.count("written") == (2 if in_flight == 3 else 1)


async def test_a_trainer_may_go_when_the_checkpoint_is_durable(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    notice = Notice(pod="t-0", role=Role.TRAINER, index=0, deadline_seconds=30)
    desk.control.notice(notice, "10.0.0.1")
    leaving = asyncio.create_task(desk.answer(make_state(4)))
    await until_writing(desk)
    assert not desk.control.notice(notice, "10.0.0.1").may_go
    desk.learners.gate.set()
    assert await leaving == {"t-0": "10.0.0.1"}
    assert desk.control.notice(notice, "10.0.0.1").saved_step == 4


async def test_whoever_reads_checkpoints_waits_for_the_one_in_flight(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.save(make_state(3))
    asked = asyncio.create_task(actions.shards_of(3, saves=desk.saves))
    await until_writing(desk)
    assert not asked.done()
    desk.learners.gate.set()
    assert await asked == str(tmp_path / "step-00000003/shards")


async def test_a_rollback_waits_for_the_one_in_flight(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.save(make_state(3))
    failed = make_state(8).model_copy(update={"guard": GuardState(since=5)})
    status = type("Status", (), {"stage": lambda *_: None})()
    going_back = asyncio.create_task(
        actions.roll_back(
            failed, saves=desk.saves, learners=desk.learners,  # type: ignore[arg-type]
            status=status, found=lambda _: None,
        )
    )  # fmt: skip
    desk.learners.policy = b"8"
    await until_writing(desk)
    desk.learners.gate.set()
    assert (await going_back).step == 3
    assert desk.learners.policy == b"3"


async def test_whoever_is_cancelled_while_waiting_does_not_end_the_save(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.save(make_state(1))
    waiting = asyncio.create_task(desk.saves.settle())
    await until_writing(desk)
    waiting.cancel()
    await asyncio.wait({waiting})
    desk.learners.gate.set()
    await desk.saves.settle()
    assert desk.store.last_step == 1


async def test_the_age_of_a_save_is_counted_from_its_begin(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.now_s += 5
    assert desk.saves.age_s() == 5, "there was none"
    await desk.save(make_state(1))
    desk.now_s += 7
    assert desk.saves.age_s() == 7
    desk.learners.gate.set()
    await desk.saves.settle()
    assert desk.saves.age_s() == 7


async def test_a_save_tells_how_long_the_loop_waited_and_how_long_it_was_written(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    await desk.save(make_state(1))
    second = asyncio.create_task(desk.save(make_state(2)))
    await until_writing(desk)
    desk.now_s += 3
    desk.learners.gate.set()
    await second
    assert desk.saves.age_s() == 0
    await desk.saves.settle()
    assert desk.told == [
        (1, SaveTimes(blocked=0, written=3)), (2, SaveTimes(blocked=3, written=0)),
    ]  # fmt: skip
