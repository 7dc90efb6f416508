"""Who may write to a store: the attempt whose number is the highest, each a file `attempt-N`."""

import re
from pathlib import Path

from prorl_trainer.checkpoint.files import Files
from prorl_trainer.errors import CheckpointError

NAME = "attempt-{:08d}"
PATTERN = re.compile(r"^attempt-(\d{8})$")


def newest(directory: Path) -> int:
    """The attempt that has claimed the store last; 0: none yet."""
    return max(_numbers(directory), default=0)


def claim(directory: Path, attempt: int | None, job_uid: str, files: Files) -> int:
    """The number under which the attempt of the job may write from now on; None takes the next.

    Attempts are counted per job object; a job that was deleted and created anew begins again with
    1, so here its attempts go on after those of the former one. Raises CheckpointError, OSError.
    """
    number = newest(directory) + 1 if attempt is None else _number(directory, attempt, job_uid)
    path = directory / NAME.format(number)
    if not path.exists():
        files.write(path, job_uid.encode())
        files.sync(directory)
    return number


def _number(directory: Path, attempt: int, job_uid: str) -> int:
    # A file that a crash left empty counts as ours: it must not lock us out.
    owners = {n: _owner(directory, n) or job_uid for n in _numbers(directory)}
    last = max(owners, default=0)
    mine = [n for n, owner in owners.items() if owner == job_uid]
    former = [n for n in owners if not mine or n < min(mine)]
    number = max(former, default=0) + attempt
    if number < last or (mine and owners[last] != job_uid):
        raise CheckpointError(
            f"Attempt {attempt} may not write to {directory}: attempt {last} has taken over."
        )
    return number


def _numbers(directory: Path) -> list[int]:
    return [int(m[1]) for m in (PATTERN.match(p.name) for p in directory.iterdir()) if m]


def _owner(directory: Path, number: int) -> str:
    return (directory / NAME.format(number)).read_text(errors="replace")
