"""Which checkpoints go once a new one is durable."""

import logging
from collections.abc import Container, Sequence
from pathlib import Path

from prorl_trainer.checkpoint.files import Files
from prorl_trainer.checkpoint.manifest import read_manifest

log = logging.getLogger(__name__)


def prune(
    steps: Sequence[tuple[int, Path]], *, keep: int, spared: Container[int], files: Files
) -> None:
    """Removes what is over the `keep` newest and not spared, oldest first, once the newest one
    reads back as complete. steps: (step, directory), oldest first."""
    try:
        _check(steps[-1][1])
        for step, directory in steps[:-keep]:
            if step not in spared:
                going = directory.with_name(f"{directory.name}.tmp-pruned")  # never half a step
                files.rename(directory, going)
                files.remove_tree(going)
    except (OSError, ValueError) as error:
        log.warning("checkpoints beside %s were not pruned: %s", steps[-1][1], error)


def healthy(steps: Sequence[tuple[int, Path]], since: int | None) -> list[int]:
    """The newest step before `since`, if there is one; nothing for None."""
    earlier = [step for step, _ in steps if since is not None and step < since]
    return earlier[-1:]


def _check(directory: Path) -> None:
    for name, entry in read_manifest(directory).files.items():
        if (directory / name).stat().st_size != entry.size_bytes:
            raise ValueError(f"{name} has the wrong size")
