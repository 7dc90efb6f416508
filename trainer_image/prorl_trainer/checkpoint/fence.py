"""Who may write to a store: the attempt whose number is the highest. Pure."""

from collections.abc import Mapping, Sequence

from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.errors import CheckpointError


def claimed_number(claims: Mapping[int, str], attempt: int | None, job_uid: str, place: str) -> int:
    """The number under which the attempt of the job may write from now on; None takes the next.

    Attempts are counted per job object; a job that was deleted and created anew begins again with
    1, so here its attempts go on after those of the former one. Raises CheckpointError.
    """
    last = max(claims, default=0)
    if attempt is None:
        return last + 1
    # A claim that a crash left empty counts as ours: it must not lock us out.
    owners = {number: owner or job_uid for number, owner in claims.items()}
    mine = [number for number, owner in owners.items() if owner == job_uid]
    former = [number for number in owners if not mine or number < min(mine)]
    number = max(former, default=0) + attempt
    if number < last or (mine and owners[last] != job_uid):
        raise CheckpointError(
            f"Attempt {attempt} may not write to {place}: attempt {last} has taken over."
        )
    return number


def stale_steps(attempts: Sequence[tuple[int, int]]) -> list[int]:
    """Steps that a writer committed which had been replaced: a newer attempt has an earlier step.
    attempts: (step, attempt), in the order of steps. The newer attempt started without them."""
    newest, stale = 0, []
    for step, attempt in attempts:
        if attempt < newest:
            stale.append(step)
        newest = max(newest, attempt)
    return stale


def refuse_other_spec(name: str, state: RunState, spec_hash: str) -> None:
    """Raises CheckpointError if the checkpoint of this name and state is of another spec."""
    if state.spec_hash != spec_hash:
        raise CheckpointError(
            f"{name} was made by job {state.job_name} (UID {state.job_uid}) with another spec "
            f"({state.spec_hash[:12]}, this job has {spec_hash[:12]}). Use another job name or "
            "claim to start afresh."
        )
