"""The learner ranks as Ray actors: one group outside, typed errors, nothing left behind."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from learner_builders import build_model_dir, make_batch, make_settings, names_below
from learner_rank import Recording
from prorl_api import runtime
from prorl_trainer.errors import ModelError, NonFiniteError, StorageError, TrainerLostError
from prorl_trainer.learn.group import GroupSettings, RayLearnerGroup, create_learner_group
from prorl_trainer.learn.learner import RankSettings
from prorl_trainer.types import UpdateResult

BATCH = make_batch()
LOST_WITHIN_S = 30.0


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    ray.init(
        num_cpus=2, resources={runtime.RAY_TRAINER_RESOURCE: 2}, include_dashboard=False,
        object_store_memory=100_000_000, _node_ip_address="127.0.0.1", log_to_driver=False,
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model_dir(tmp_path_factory.mktemp("model"))


def settings_of(model_dir: Path, num_ranks: int = 2) -> GroupSettings:
    """In-cluster: the fixed port, which a second group must get at once."""
    return GroupSettings(
        model_dir=model_dir, num_ranks=num_ranks, gpus_per_rank=0, seed=0, in_cluster=True
    )


async def process_ids(group: RayLearnerGroup) -> list[int]:
    return [await actor.process_id.remote() for actor in group._actors]


def alone(model_dir: Path) -> UpdateResult:
    learner = Recording(
        RankSettings(
            rank=0, world_size=1, master_address="", master_port=0,
            model_dir=str(model_dir), seed=0, device="cpu",
        )
    )  # fmt: skip
    return learner.update(BATCH, make_settings())


async def test_a_group_survives_what_befalls_its_ranks(model_dir: Path, tmp_path: Path) -> None:
    """One story, since starting two ranks takes seconds: update, refuse, save, die, come back."""
    group = await create_learner_group(settings_of(model_dir))
    with pytest.raises(NonFiniteError, match="Loss nan"):
        await group.update(BATCH, make_settings(kl_coefficient=float("nan")))
    found = await group.update(BATCH, make_settings())
    assert found.metrics == pytest.approx(alone(model_dir).metrics, rel=1e-2, abs=1e-5)

    shards = tmp_path / "shards"
    await group.stage()
    written, _ = await asyncio.gather(
        group.write(str(shards)), group.update(BATCH, make_settings())
    )
    assert written.files.keys() == names_below(shards)
    with pytest.raises(StorageError, match="/dev/full"):
        await group.write("/dev/full/shards")

    os.kill((await process_ids(group))[1], signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(TrainerLostError, match="A learner rank is gone"):
        await group.update(BATCH, make_settings())
    assert time.monotonic() - start < LOST_WITHIN_S
    await group.close()

    second = await create_learner_group(settings_of(model_dir))
    await second.load(str(shards))
    assert (await second.update(BATCH, make_settings())).metrics["kl"] > 0
    await second.close()


async def test_a_rank_that_dies_amid_an_update_ends_it_soon(model_dir: Path) -> None:
    group = await create_learner_group(settings_of(model_dir))
    victim = (await process_ids(group))[0]
    long_update = make_batch(groups=64, samples=16, max_response=30)
    running = asyncio.create_task(group.update(long_update, make_settings(num_updates=1)))
    await asyncio.sleep(0.5)
    os.kill(victim, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(TrainerLostError, match="A learner rank is gone"):
        await running
    assert time.monotonic() - start < LOST_WITHIN_S
    await group.close()


async def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        await create_learner_group(settings_of(tmp_path / "nowhere", num_ranks=1))


async def test_ranks_without_a_place_are_given_up_after_the_timeout(model_dir: Path) -> None:
    with pytest.raises(TrainerLostError, match="3 learner ranks did not start within 2 s"):
        await create_learner_group(settings_of(model_dir, num_ranks=3), timeout_s=2.0)
