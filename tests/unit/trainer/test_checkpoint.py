"""What a store keeps, loads and goes back to."""

from pathlib import Path

import pytest
from checkpoint_builders import SHARD, commit, latest_step, opened
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.state import GuardState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.errors import CheckpointError


def test_a_committed_checkpoint_loads_and_old_ones_are_pruned(tmp_path):
    store = opened(tmp_path)
    for step in (1, 2, 3):
        commit(store, step)
    assert latest_step(tmp_path) == 3
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000002", "step-00000003"]


def test_the_best_is_kept_until_another_one_is_better(tmp_path):
    store = opened(tmp_path)
    for step, best in ((0, [0]), (1, [0]), (2, [0]), (3, [0]), (4, [4]), (5, [4])):
        commit(store, step, best_steps=best)
        kept = sorted(int(p.name[-8:]) for p in tmp_path.glob("step-*"))
        assert kept == sorted({step, max(0, step - 1), *best})


def test_one_checkpoint_opens_by_its_step_and_a_lost_or_corrupt_one_says_why(tmp_path):
    store = opened(tmp_path)
    commit(store, 1)
    commit(store, 2)
    assert store.open(1).state.step == 1
    assert store.last_step == 2, "the newest one still is"
    (tmp_path / "step-00000001" / "shards" / "__0_0.distcp").write_bytes(b"x" * len(SHARD))
    with pytest.raises(CheckpointError, match=r"step-00000001 cannot be used: .* another checksum"):
        store.open(1)
    with pytest.raises(CheckpointError, match=r"step-00000007 cannot be used: .* missing"):
        store.open(7)
    assert latest_step(tmp_path) == 2


def test_an_empty_store_starts_fresh(tmp_path):
    assert opened(tmp_path).load(Resume.LATEST) is None


def committed(directory: Path, *steps: int, **fields) -> CheckpointStore:
    store = CheckpointStore(Directory(directory), keep=9)
    store.open_for_attempt(None)
    for step in steps:
        commit(store, step, **fields)
    return store


def test_going_back_sets_the_later_checkpoints_aside(tmp_path):
    store = committed(tmp_path, 2, 4, 6)
    assert store.roll_back(6).state.step == store.last_step == 4
    assert [p.name[:13] for p in tmp_path.glob("*.bad-*")] == ["step-00000006"]
    commit(store, 6)
    assert latest_step(tmp_path) == 6


@pytest.mark.parametrize("before", [2, 4], ids=["none", "broken"])
def test_where_it_cannot_go_back_everything_stays(tmp_path, before):
    store = committed(tmp_path, 2, 4)
    (tmp_path / "step-00000002" / "state.json").write_text("{}")
    with pytest.raises(CheckpointError):
        store.roll_back(before)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000002", "step-00000004"]


def test_while_a_signal_is_out_of_bounds_the_last_healthy_checkpoint_is_kept(tmp_path):
    store = opened(tmp_path)
    commit(store, 1)
    commit(store, 2)
    for step in (3, 4, 5):
        commit(store, step, guard=GuardState(counts={"klAbove": 1}, since=3))
        kept = sorted(int(p.name[-8:]) for p in tmp_path.glob("step-*"))
        assert kept == sorted({2, step - 1, step})
    commit(store, 6)
    assert sorted(int(p.name[-8:]) for p in tmp_path.glob("step-*")) == [5, 6]
