"""The leakage guard: held-out prompts that also occur in training measure memory, not skill."""

import logging
from collections.abc import Callable, Iterator, Sequence

from prorl_api.spec_model import DataSet, OnOverlap

from prorl_trainer.data.cache import Leaks
from prorl_trainer.data.gym import GymSource, parse_gym
from prorl_trainer.data.prompt import prompt_key
from prorl_trainer.data.rows import Row
from prorl_trainer.data.sets import LoadedSet, is_generated
from prorl_trainer.errors import DataError

log = logging.getLogger(__name__)

REPORT_ROWS = 20_000


def refuse_shared_items(train: Sequence[DataSet], held_out: Sequence[DataSet]) -> None:
    """reasoning-gym draws item i from seed + i: near seeds are the same items, shifted. Raises
    DataError."""
    sources = [(s.name, parse_gym(s.name, s.uri)) for s in train if is_generated(s)]
    for validation in filter(is_generated, held_out):
        mine = parse_gym(validation.name, validation.uri)
        for name, other in sources:
            if _same_items(mine, other):
                raise DataError(
                    f"Validation set {validation.name} (seeds {mine.items.start} to "
                    f"{mine.items.stop - 1}) overlaps training set {name} (seeds "
                    f"{other.items.start} to {other.items.stop - 1}): space the seeds by more "
                    "than the sizes."
                )


def _same_items(a: GymSource, b: GymSource) -> bool:
    same = (a.dataset, a.options) == (b.dataset, b.options)
    return same and a.items.start < b.items.stop and b.items.start < a.items.stop


def find_leaks(
    train: Sequence[LoadedSet],
    held_out: Sequence[LoadedSet],
    *,
    look: Callable[[LoadedSet, int, Row], None],
    progress: Callable[[str], None],
) -> Leaks:
    """Keys of held-out prompts that training has too, with their first place in it.

    The one pass over all rows: `look` is called for each row of training."""
    wanted = {key for held in held_out for _, key in _keys(held, progress)}
    leaks: Leaks = {}
    for loaded in train:
        for index, key in _keys(loaded, progress, look):
            if key in wanted:
                leaks.setdefault(key, (loaded.name, index))
    return leaks


def kept_rows(
    held: LoadedSet, leaks: Leaks, train: Sequence[LoadedSet], on_overlap: OnOverlap
) -> list[tuple[int, Row]]:
    """What is left of a held-out set. Raises DataError if it may not overlap, or if nothing is."""
    generated = {loaded.name for loaded in train if loaded.generated}
    kept: list[tuple[int, Row]] = []
    for index, row in enumerate(held.rows):
        leak = leaks.get(prompt_key(row.prompt))
        if leak is None:
            kept.append((index, row))
        elif on_overlap is OnOverlap.REFUSE and not (held.generated and leak[0] in generated):
            raise _overlap(held, index, leaks, train)
    dropped = len(held.rows) - len(kept)
    if not kept:
        raise DataError(
            f"Validation set {held.name}: all {dropped} prompts also occur in training."
        )
    if dropped:
        log.warning(
            "set=%s left_out=%d of=%d: these held-out prompts also occur in training",
            held.name, dropped, len(held.rows),
        )  # fmt: skip
    return kept


def _overlap(held: LoadedSet, index: int, leaks: Leaks, train: Sequence[LoadedSet]) -> DataError:
    keys = [prompt_key(row.prompt) for row in held.rows]
    name, row = leaks[keys[index]]
    place = next(loaded.rows.place(row) for loaded in train if loaded.name == name)
    return DataError(
        f"Validation set {held.name}: {sum(key in leaks for key in keys)} of {len(keys)} prompts "
        f"also occur in training. The first, {held.rows.place(index)}, is {place} of set {name}. "
        "Take them out of one of the two, or set spec.data.onOverlap: Drop."
    )


def _keys(
    loaded: LoadedSet,
    progress: Callable[[str], None],
    look: Callable[[LoadedSet, int, Row], None] | None = None,
) -> Iterator[tuple[int, str]]:
    """(index, key) of every row; repeated rows of files are counted and reported."""
    first: dict[str, int] = {}
    repeated = contradicting = 0
    for index, row in enumerate(loaded.rows):
        if index and index % REPORT_ROWS == 0:
            progress(f"Looking through {loaded.name}: {index} of {len(loaded.rows)} rows")
        if look is not None:
            look(loaded, index, row)
        key = prompt_key(row.prompt)
        yield index, key
        if loaded.generated:
            continue  # generators repeat themselves, and nobody can edit them
        earlier = first.setdefault(key, index)
        repeated += earlier != index
        contradicting += loaded.rows[earlier].answer != row.answer
    if repeated:
        log.warning(
            "set=%s repeated_rows=%d of=%d, with_another_answer=%d",
            loaded.name, repeated, len(loaded.rows), contradicting,
        )  # fmt: skip
