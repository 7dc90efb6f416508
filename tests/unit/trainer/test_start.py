"""How the parts of a session are made."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from checkpoint_builders import opened, write_shards
from prorl_api.job import ProRLJobSpec
from prorl_api.wire import JobDocument
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.opening import Checkpoint
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.context import Context
from prorl_trainer.errors import CheckpointError, ConfigError
from prorl_trainer.lifetime import make_desk
from prorl_trainer.start import claim, data_cache, last_state, same_run

TRAIN = {"name": "sums", "domain": "math", "uri": "gym://reasoning-gym/chain_sum"}


def make_context(directory: Path = Path(), **spec: Any) -> Context:
    least = {"model": {"uri": "tiny://llama"}, "data": {"train": [TRAIN]}}
    validated = ProRLJobSpec.model_validate(least | spec)
    return Context(
        local=False, attempt=1, directory=directory, host="", port=0, node_ip="",
        job=JobDocument(name="j", namespace="n", uid="u", spec=validated, hash="h"),
        api_token="", ray_token="", verifier_token="", verifier_url=None, termination_file=Path(),
    )  # fmt: skip


async def test_a_verifier_that_has_failed_ends_the_preparation_of_data_and_model() -> None:
    found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def verifier() -> Any:
        return await found

    task, said = asyncio.create_task(verifier()), []
    cache = data_cache(make_context(), said.append, task)
    cache.progress("Downloading")
    found.set_exception(ConfigError("Data set sums: no such verifier"))
    await asyncio.wait({task})
    with pytest.raises(ConfigError, match="no such verifier"):
        cache.progress("Warming up")
    assert said == ["Downloading"]


def make_state(*, step: int = 0, spec: str = "h", **fingerprints: str) -> RunState:
    return RunState(
        job_uid="u", job_name="j", spec_hash=spec, step=step, data_fingerprints=fingerprints
    )


def checkpoint_of(state: RunState) -> Checkpoint:
    manifest = Manifest(step=state.step, attempt=1, job_uid="u", created=0.0, files={})
    return Checkpoint(name="step-7", shards="", manifest=manifest, state=state)


SPEC = make_context().job.spec


def test_a_run_with_more_steps_behind_it_than_it_is_to_have_is_refused() -> None:
    done = make_state(step=SPEC.algorithm.steps + 1)
    with pytest.raises(CheckpointError, match=r"2001 finished steps, .* is 2000\. Steps may only"):
        same_run(make_state(), checkpoint_of(done), SPEC)
    just = make_state(step=SPEC.algorithm.steps)
    assert same_run(make_state(), checkpoint_of(just), SPEC) is just


def test_a_checkpoint_of_the_same_rows_is_gone_on_from() -> None:
    saved = make_state(step=7, sums="a", words="b")
    assert same_run(make_state(sums="a", words="b"), checkpoint_of(saved), SPEC) is saved


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        (make_state(sums="a", words="b" * 20), "step-7 was made with other rows of data set words"),
        (make_state(sums="a", words="b" * 20), r"\(bbbbbbbbbbbb, now c\)\. Bring them back"),
        (make_state(sums="a"), r"data set words \(none, now c\)"),
        (make_state(spec="g", sums="a", words="c"), r"with another spec \(g, this job has h\)"),
    ],
)
def test_a_checkpoint_of_other_rows_is_refused_by_the_sets_name(
    saved: RunState, words: str
) -> None:
    with pytest.raises(CheckpointError, match=words):
        same_run(make_state(sums="a", words="c"), checkpoint_of(saved), SPEC)


async def test_a_run_without_checkpoints_begins_where_it_is_told(tmp_path: Path) -> None:
    first = make_state(sums="a")
    desk = make_desk(make_context(tmp_path), opened(tmp_path))
    assert await last_state(desk, first) == (first, None)


async def test_a_run_that_is_refused_leaves_the_checkpoints_as_they_are(tmp_path: Path) -> None:
    """`resume` sets those aside that are later, but only for a run that may go on from it."""
    former = opened(tmp_path)
    for step in (1, 2):
        await former.commit(make_state(step=step, sums="a"), write_shards, now=1.0)
    directory = Directory(tmp_path)
    context = make_context(tmp_path, checkpoint={"resume": 1})
    desk = make_desk(context, CheckpointStore(directory, keep=2))
    await claim(desk)
    with pytest.raises(CheckpointError, match="other rows of data set sums"):
        await last_state(desk, make_state(sums="b"))
    assert directory.steps() == [1, 2]
    state, checkpoint = await last_state(desk, make_state(sums="a"))
    assert checkpoint is not None
    assert (state, state.step, directory.steps()) == (checkpoint.state, 1, [1])
