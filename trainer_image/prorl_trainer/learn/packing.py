"""Packing sequences into microbatches: pure, deterministic, and the same for every forward pass.

Legend: T packed tokens of a microbatch, M response tokens in it, S sequences.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from prorl_trainer.types import TrainingBatch, TrainingSequence


@dataclass(frozen=True, kw_only=True, slots=True)
class Microbatch:
    """One forward pass. Every sequence restarts its positions at 0.

    input_ids, position_ids: length T. The others: length M, one entry per response token.
    """

    input_ids: tuple[int, ...]
    position_ids: tuple[int, ...]
    predict_index: tuple[int, ...]
    """Position in [0, T) whose hidden state predicts the token."""
    targets: tuple[int, ...]
    mask: tuple[bool, ...]
    advantages: tuple[float, ...]
    rollout_logprobs: tuple[float, ...]


def split_updates(batch: TrainingBatch, num_updates: int) -> list[tuple[TrainingSequence, ...]]:
    """Cuts the batch into mini-batches of whole groups, in order, as even as possible.

    Fewer groups than updates give one update per group.
    """
    groups: dict[int, list[TrainingSequence]] = {}
    for sequence in batch.sequences:
        groups.setdefault(sequence.group, []).append(sequence)
    members = list(groups.values())
    count = min(num_updates, len(members))
    bounds = [len(members) * i // count for i in range(count + 1)]
    return [
        tuple(s for group in members[a:b] for s in group) for a, b in itertools.pairwise(bounds)
    ]


def pack_rank(
    sequences: Sequence[TrainingSequence], *, rank: int, world_size: int, max_tokens: int
) -> list[Microbatch]:
    """The microbatches of one rank. All ranks get equally many, because every pass is a collective:
    a rank that has fewer repeats a sequence with an empty mask."""
    bins = _fill(sequences, max_tokens, world_size)
    mine = [_pack([sequences[i] for i in members]) for members in bins[rank::world_size]]
    filler = _pack([sequences[0]], masked=True)
    return mine + [filler] * (math.ceil(len(bins) / world_size) - len(mine))


def _fill(
    sequences: Sequence[TrainingSequence], max_tokens: int, world_size: int
) -> list[list[int]]:
    """Members of every microbatch, in order. As few microbatches as first fit finds, up to a whole
    number per rank, and equally large ones if the budget lets them be: a rank that is done early
    waits. A sequence over the budget gets its own microbatch."""
    lengths = [_length(s) for s in sequences]
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    fitted = _first_fit(lengths, order, max_tokens)
    count = min(math.ceil(len(fitted) / world_size) * world_size, len(lengths))
    even = _even(lengths, order, count)
    fits = all(len(b) == 1 or sum(lengths[i] for i in b) <= max_tokens for b in even)
    return [sorted(members) for members in (even if fits else fitted)]


def _first_fit(lengths: Sequence[int], order: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Each sequence in the first microbatch that has room."""
    bins: list[list[int]] = []
    room: list[int] = []
    for index in order:
        slot = next((b for b, free in enumerate(room) if free >= lengths[index]), len(bins))
        if slot == len(bins):
            bins.append([])
            room.append(max_tokens)
        bins[slot].append(index)
        room[slot] -= lengths[index]
    return bins


def _even(lengths: Sequence[int], order: Sequence[int], count: int) -> list[list[int]]:
    """Each sequence in the microbatch that has the fewest tokens so far."""
    bins: list[list[int]] = [[] for _ in range(count)]
    load = [0] * count
    for index in order:
        slot = load.index(min(load))
        bins[slot].append(index)
        load[slot] += lengths[index]
    return bins


def _length(sequence: TrainingSequence) -> int:
    return len(sequence.prompt_token_ids) + len(sequence.response_token_ids)


def _pack(sequences: Sequence[TrainingSequence], *, masked: bool = False) -> Microbatch:
    ids: list[int] = []
    positions: list[int] = []
    predict: list[int] = []
    for s in sequences:
        first = len(ids) + len(s.prompt_token_ids) - 1
        predict += range(first, first + len(s.response_token_ids))
        ids += s.prompt_token_ids + s.response_token_ids
        positions += range(_length(s))
    return Microbatch(
        input_ids=tuple(ids),
        position_ids=tuple(positions),
        predict_index=tuple(predict),
        targets=tuple(t for s in sequences for t in s.response_token_ids),
        mask=tuple(m and not masked for s in sequences for m in s.mask),
        advantages=tuple(s.advantage for s in sequences for _ in s.mask),
        rollout_logprobs=tuple(p for s in sequences for p in s.rollout_logprobs),
    )
