"""Groups that wait for the next step: a file of the checkpoint like any other."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from prorl_api.spec_lifecycle import Resume
from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.documents import CARRIED, documents, parse_state
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.types import CarriedGroup, Completion, FinishReason, ShardFiles, Verdict

COMPLETION = Completion(
    request_id="train-sums-7-0", token_ids=(5, 2), mask=(True, False), logprobs=(-0.1, -1 / 3),
    finish_reason=FinishReason.LENGTH, weight_versions=("1-3", "1-4"), weight_starts=(0, 1),
    text="4\n",
)  # fmt: skip
GROUP = CarriedGroup(
    ordinal=7, completions=(COMPLETION,), verdicts=(Verdict(score=None, reason="timeout"),)
)


def make_state(step: int, *groups: CarriedGroup) -> RunState:
    return RunState(
        job_uid="u", job_name="j", spec_hash="h", data_fingerprints={"sums": "d"}, step=step,
        next_ordinal=9, returned=[3], carried=groups,
    )  # fmt: skip


async def write_shards(place: str, *, reference: bool) -> ShardFiles:
    Path(place, "shard").write_bytes(b"w")
    return ShardFiles(files={"shard": (1, checksum_of(b"w"))})


def opened(directory: Path) -> CheckpointStore:
    store = CheckpointStore(Directory(directory), keep=2)
    store.open_for_attempt(None)
    return store


def commit(directory: Path, *states: RunState) -> None:
    store = opened(directory)
    for state in states:
        asyncio.run(store.commit(state, write_shards, now=1.0))


def test_they_come_back_as_they_were_and_the_state_stays_small(tmp_path: Path) -> None:
    state = make_state(4, GROUP, replace(GROUP, ordinal=8))
    commit(tmp_path, state)
    checkpoint = opened(tmp_path).load(Resume.LATEST)
    assert checkpoint is not None
    assert checkpoint.state == state
    assert CARRIED in checkpoint.manifest.files
    assert "carried" not in json.loads(Path(checkpoint.name, "state.json").read_text())


def test_without_any_there_is_no_file(tmp_path: Path) -> None:
    commit(tmp_path, make_state(4))
    checkpoint = opened(tmp_path).load(Resume.LATEST)
    assert checkpoint is not None
    assert checkpoint.state == make_state(4)
    assert CARRIED not in checkpoint.manifest.files


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_damaged_ones_cost_the_checkpoint(tmp_path: Path, damage: str) -> None:
    commit(tmp_path, make_state(3, GROUP), make_state(4, GROUP))
    file = tmp_path / "step-00000004" / CARRIED
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes().replace(b"timeout", b"timeouT"))
    checkpoint = opened(tmp_path).load(Resume.LATEST)
    assert checkpoint is not None
    assert checkpoint.state.step == 3
    assert list(tmp_path.glob("step-00000004.bad-*"))


@pytest.mark.parametrize("text", ["[{}]", '[{"ordinal": "7"}]', "nonsense"])
def test_what_is_no_group_is_refused(text: str) -> None:
    files = documents(make_state(4, GROUP)) | {CARRIED: text.encode()}
    with pytest.raises(ValueError, match="validation error"):
        parse_state(files)
