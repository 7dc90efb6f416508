"""Packing: every token once, on one rank, in equally many microbatches."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from learner_builders import make_batch, make_sequence
from prorl_trainer.learn.packing import Microbatch, pack_rank, split_updates
from prorl_trainer.types import TrainingBatch, TrainingSequence

LENGTHS = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=20)


def sequences_of(lengths: list[tuple[int, int]]) -> list[TrainingSequence]:
    rng = random.Random(0)
    return [make_sequence(rng, prompt=p, response=r, advantage=float(i)) for i, (p, r) in
            enumerate(lengths)]  # fmt: skip


def pack_all(
    sequences: list[TrainingSequence], *, world_size: int, max_tokens: int
) -> list[list[Microbatch]]:
    return [
        pack_rank(sequences, rank=r, world_size=world_size, max_tokens=max_tokens)
        for r in range(world_size)
    ]


@given(LENGTHS, st.integers(1, 4), st.integers(1, 40))
def test_every_token_is_learned_from_exactly_once(
    lengths: list[tuple[int, int]], world_size: int, max_tokens: int
) -> None:
    sequences = sequences_of(lengths)
    packed = pack_all(sequences, world_size=world_size, max_tokens=max_tokens)
    learned = Counter(
        (advantage, target)
        for rank in packed
        for m in rank
        for advantage, target, use in zip(m.advantages, m.targets, m.mask, strict=True)
        if use
    )
    assert learned == Counter((s.advantage, t) for s in sequences for t in s.response_token_ids)


@given(LENGTHS, st.integers(1, 4), st.integers(1, 40))
def test_every_rank_has_equally_many_microbatches(
    lengths: list[tuple[int, int]], world_size: int, max_tokens: int
) -> None:
    packed = pack_all(sequences_of(lengths), world_size=world_size, max_tokens=max_tokens)
    assert len({len(rank) for rank in packed}) == 1
    assert all(m.input_ids for rank in packed for m in rank)


@given(LENGTHS, st.integers(1, 40))
def test_the_budget_is_only_exceeded_by_a_single_sequence(
    lengths: list[tuple[int, int]], max_tokens: int
) -> None:
    for m in pack_all(sequences_of(lengths), world_size=1, max_tokens=max_tokens)[0]:
        assert len(m.input_ids) <= max_tokens or m.position_ids.count(0) == 1


@given(LENGTHS)
def test_each_token_is_predicted_from_the_position_before_it(
    lengths: list[tuple[int, int]],
) -> None:
    for m in pack_all(sequences_of(lengths), world_size=1, max_tokens=30)[0]:
        for where, target in zip(m.predict_index, m.targets, strict=True):
            assert m.input_ids[where + 1] == target
            assert m.position_ids[where + 1] == m.position_ids[where] + 1


def test_two_sequences_side_by_side_as_written_by_hand() -> None:
    first = TrainingSequence(
        prompt_token_ids=(10, 11), response_token_ids=(12, 13), mask=(True, False),
        rollout_logprobs=(-0.1, -0.2), group=0, reward=1.0, advantage=1.0,
    )  # fmt: skip
    second = TrainingSequence(
        prompt_token_ids=(20,), response_token_ids=(21,), mask=(True,),
        rollout_logprobs=(-0.3,), group=0, reward=0.0, advantage=-2.0,
    )  # fmt: skip
    assert pack_rank([first, second], rank=0, world_size=1, max_tokens=8) == [
        Microbatch(
            input_ids=(10, 11, 12, 13, 20, 21),
            position_ids=(0, 1, 2, 3, 0, 1),
            predict_index=(1, 2, 4),
            targets=(12, 13, 21),
            mask=(True, False, True),
            advantages=(1.0, 1.0, -2.0),
            rollout_logprobs=(-0.1, -0.2, -0.3),
        )
    ]


def test_a_rank_without_sequences_gets_a_masked_filler() -> None:
    sequence = sequences_of([(3, 2)])
    idle = pack_rank(sequence, rank=1, world_size=2, max_tokens=8)
    assert [m.mask for m in idle] == [(False, False)]


@pytest.mark.parametrize(
    ("groups", "updates", "expected"),
    [
        pytest.param(8, 4, [2, 2, 2, 2], id="even"),
        pytest.param(7, 3, [2, 2, 3], id="uneven"),
        pytest.param(2, 4, [1, 1], id="fewer-groups-than-updates"),
        pytest.param(5, 1, [5], id="one-update"),
    ],
)
def test_updates_get_whole_groups_in_order(groups: int, updates: int, expected: list[int]) -> None:
    batch = make_batch(groups=groups, samples=3)
    parts = split_updates(batch, updates)
    assert [len({s.group for s in part}) for part in parts] == expected
    assert tuple(s for part in parts for s in part) == batch.sequences


def test_groups_that_lost_members_stay_whole() -> None:
    whole = make_batch(groups=4, samples=3)
    batch = TrainingBatch(step=1, sequences=whole.sequences[2:])
    parts = split_updates(batch, 4)
    assert [len(part) for part in parts] == [1, 3, 3, 3]


def sizes(packed: list[list[Microbatch]]) -> list[int]:
    return [len(m.input_ids) for rank in packed for m in rank]


@pytest.mark.parametrize("world_size", [1, 2, 8])
def test_microbatches_of_all_ranks_are_equally_large(world_size: int) -> None:
    """Log-normal lengths, as those of responses are; first fit alone leaves the last ones small."""
    rng = random.Random(0)
    lengths = [(8, min(400, max(2, round(rng.lognormvariate(3.7, 0.9))))) for _ in range(96)]
    found = sizes(pack_all(sequences_of(lengths), world_size=world_size, max_tokens=640))
    assert max(found) / (sum(found) / len(found)) <= 1.05
    assert max(found) <= 640


@given(LENGTHS, st.integers(1, 4), st.integers(1, 40))
def test_evening_out_costs_no_pass_that_first_fit_does_not_need(
    lengths: list[tuple[int, int]], world_size: int, max_tokens: int
) -> None:
    room: list[int] = []
    for need in sorted((p + r for p, r in lengths), reverse=True):
        slot = next((i for i, free in enumerate(room) if free >= need), len(room))
        room[slot:slot] = [max_tokens] if slot == len(room) else []
        room[slot] -= need
    packed = pack_all(sequences_of(lengths), world_size=world_size, max_tokens=max_tokens)
    assert len(packed[0]) == -(-len(room) // world_size)
