"""A publication: all engines, or a named failure, and nothing generated with wrong weights."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from ports import free_port
from prorl_trainer.errors import EngineLostError, TrainerLostError, WeightSyncError
from prorl_trainer.learn.weights import Outlet, broadcast, checksum, join_channel
from prorl_trainer.rollout.backend import Announcement, Backend, Channel
from prorl_trainer.rollout.publish import Publication, publish_weights, refuse_other

TOLD = Announcement(names=["a", "b"], dtypes=["float32"] * 2, shapes=[[2], [3]])
SENT = {"a": "1", "b": "2"}


@dataclass
class Learners:
    """Their end, as scripted."""

    told: Announcement = TOLD
    calls: list[str] = field(default_factory=list)
    hangs: bool = False

    async def channel(self, world_size: int) -> Channel:
        self.calls.append(f"channel {world_size}")
        return Channel(
            backend=Backend.GLOO, dtype="float32", host="h", port=1, world_size=world_size
        )

    async def open_weight_channel(self, channel: Channel) -> None:
        self.calls.append("open")

    async def announce_weights(self) -> Announcement:
        return self.told

    async def send_weights(self) -> None:
        self.calls.append("send")
        if self.hangs:
            await asyncio.Event().wait()

    async def weight_checksums(self) -> dict[str, str]:
        return SENT

    async def release_weights(self) -> None:
        self.calls.append("release")


@dataclass
class Engine:
    """An engine's end: paused by an update, and as scripted wrong or failing for a while."""

    name: str = "engine-0"
    wrong: int = 0
    failing: int = 0
    lost: bool = False
    paused: bool = False
    updates: int = 0

    async def init_weight_channel(self, channel: Channel, rank: int) -> None:
        assert 1 <= rank < channel.world_size

    async def update_weights(self, announcement: Announcement, version: str) -> None:
        self.paused = True
        self.updates += 1
        if self.lost:
            raise EngineLostError(self.name, "died")
        if self.updates <= self.failing:
            raise WeightSyncError("late")

    async def weight_checksums(self, announcement: Announcement) -> dict[str, str]:
        assert self.paused, "nothing may be generated with weights that were not looked at"
        return SENT | ({"b": "other"} if self.updates <= self.wrong else {})

    async def resume(self) -> None:
        self.paused = False


async def run(learners: Learners, *engines: Engine, verify: bool = False) -> Publication:
    publication = Publication(verify=verify)
    await publish_weights(learners, engines, "1-4", publication)
    return publication


async def test_a_failed_session_is_followed_by_a_whole_new_one() -> None:
    learners, good, bad = Learners(), Engine("engine-0"), Engine("engine-1", failing=1)
    await run(learners, good, bad)
    assert learners.calls == ["channel 3", "open", "send"] * 2
    assert (good.updates, bad.updates) == (2, 2)
    assert not good.paused
    assert not bad.paused


async def test_engines_stay_paused_when_no_session_succeeds() -> None:
    good, bad = Engine("engine-0"), Engine("engine-1", failing=9)
    with pytest.raises(WeightSyncError, match="late"):
        await run(Learners(), good, bad)
    assert good.paused
    assert bad.paused


async def test_a_lost_engine_is_named_and_not_asked_again() -> None:
    with pytest.raises(EngineLostError, match="engine-1"):
        await run(Learners(), Engine("engine-0"), Engine("engine-1", lost=True))


async def test_a_tensor_that_differs_is_sent_again_before_anything_is_generated() -> None:
    engine = Engine(wrong=1)
    await run(Learners(), engine, verify=True)
    assert engine.updates == 2
    assert not engine.paused


async def test_a_tensor_that_differs_twice_is_named() -> None:
    engine = Engine(wrong=2)
    with pytest.raises(WeightSyncError, match=r"engine-0 .* 1-4 .* 1 of 2 .* first is b"):
        await run(Learners(), engine, verify=True)
    assert engine.paused


def test_a_tied_head_that_is_not_the_embedding_is_named() -> None:
    sent = {"model.embed_tokens.weight": "1"}
    refuse_other(sent, sent | {"lm_head.weight": "1"}, engine="e", version="1-4")
    with pytest.raises(WeightSyncError, match=r"1 of 2 .* first is lm_head\.weight"):
        refuse_other(sent, sent | {"lm_head.weight": "0"}, engine="e", version="1-4")


async def test_without_verification_nobody_is_asked_for_checksums() -> None:
    engine = Engine(wrong=9)
    await run(Learners(), engine)
    assert engine.updates == 1


async def test_exported_weights_are_not_sent_but_released() -> None:
    learners = Learners(told=Announcement(names=["a"], dtypes=["x"], shapes=[[1]], handles=[{}]))
    await run(learners, Engine())
    assert learners.calls == ["channel 2", "open", "release"]


async def test_a_channel_is_opened_anew_only_for_other_engines() -> None:
    learners, publication = Learners(), Publication()
    first, second = Engine("engine-0"), Engine("engine-1")
    for engines in ([first], [first], [first, second]):
        await publish_weights(learners, engines, "1-4", publication)
    assert learners.calls == ["channel 2", "open", "send", "send", "channel 3", "open", "send"]


async def test_a_learner_that_hangs_in_a_collective_is_lost() -> None:
    publication = Publication(timeout_s=0.05)
    with pytest.raises(TrainerLostError, match="hangs"):
        await publish_weights(Learners(hangs=True), [Engine()], "1-4", publication)


class Broken:
    """A weight channel whose other end is gone."""

    device = "cpu"

    def send(self, weights: Iterator[tuple[str, torch.Tensor]]) -> None:
        next(weights)
        raise RuntimeError("the engine is gone")


def make_outlet(read: list[str], rank: int = 0) -> Outlet:
    def weights(dtype: torch.dtype, device: str | None) -> Iterator[tuple[str, torch.Tensor]]:
        for name in ("a", "b", "c"):
            read.append(name)
            yield name, torch.full((2,), 1.5, dtype=dtype, device=device)

    return Outlet(rank, weights, lambda: [("a", [2]), ("b", [2]), ("c", [2])])


def test_a_broken_channel_leaves_no_rank_in_the_middle_of_gathering() -> None:
    read: list[str] = []
    outlet = make_outlet(read)
    outlet._sender = Broken()  # type: ignore[assignment]
    with pytest.raises(WeightSyncError, match="the engine is gone"):
        outlet.send()
    assert read == ["a", "b", "c"]


async def test_the_wire_carries_bf16_unchanged() -> None:
    """To a GPU engine from a learner on a CPU."""
    port, sent = free_port(), torch.randn(3, 5).to(torch.bfloat16)
    channel = Channel(
        backend=Backend.GLOO, dtype="bfloat16", host="127.0.0.1", port=port, world_size=2
    )

    def receive() -> torch.Tensor:
        group, store = join_channel("127.0.0.1", port, 1, 2)
        tensor = torch.empty(3, 5, dtype=torch.bfloat16)
        broadcast(group, tensor)
        del group, store
        return tensor

    outlet = Outlet(0, lambda dtype, _: iter([("a", sent.to(dtype))]), lambda: [("a", [3, 5])])
    receiving = asyncio.create_task(asyncio.to_thread(receive))
    await asyncio.to_thread(outlet.open, channel)
    assert outlet.announce().dtypes == ["bfloat16"]
    await asyncio.to_thread(outlet.send)
    assert torch.equal(await receiving, sent)
    outlet.close()


def test_all_ranks_gather_for_checksums_and_the_first_reports() -> None:
    read: list[str] = []
    expected = checksum(torch.full((2,), 1.5))
    assert make_outlet(read).checksums() == dict.fromkeys(("a", "b", "c"), expected)
    assert make_outlet(read, rank=1).checksums() == {}
    assert read == ["a", "b", "c"] * 2
