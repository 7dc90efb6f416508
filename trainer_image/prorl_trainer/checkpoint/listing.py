"""What is in a store, without changing it: for people who look at it offline."""

from collections.abc import Iterator
from typing import Any

from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.medium import Medium
from prorl_trainer.checkpoint.opening import read_checkpoint
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.errors import CheckpointError

Row = dict[str, Any]


def list_checkpoints(medium: Medium, *, hashes: bool) -> list[Row]:
    """A row each, oldest first, then those set aside. `state` is ok, quarantined, or bad with a
    `reason`; `best` as the newest one that can be read says. Raises StorageError."""
    rows, best = [], set[int]()
    for step in medium.steps():
        try:
            found = read_checkpoint(medium, step, hashes=hashes)
        except ValueError as error:
            rows.append({"step": step, "state": "bad", "reason": str(error)})
            continue
        best = set(found.state.best_steps)
        rows.append(_row(found.manifest, found.state))
    marked = [row | {"best": row["step"] in best} for row in rows]
    return [*marked, *({"name": name, "state": "quarantined"} for name in medium.aside())]


def _row(manifest: Manifest, state: RunState) -> Row:
    return {
        "step": manifest.step,
        "attempt": manifest.attempt,
        "created": manifest.created,
        "sizeBytes": manifest.size_bytes,
        "referenceVersion": state.reference.version,
        "state": "ok",
    }


def compare_checkpoints(medium: Medium, one: int, other: int) -> list[Row]:
    """Files whose bytes differ, by the manifests' hashes, and the fields of the state that do.
    Raises CheckpointError if one of them cannot be read, StorageError."""
    found = []
    for step in (one, other):
        try:
            found.append(read_checkpoint(medium, step, hashes=False))
        except ValueError as error:
            raise CheckpointError(f"{medium.name(step)} cannot be used: {error}.") from error
    a, b = found
    return [*_files(a.manifest, b.manifest), *_fields(a.state, b.state)]


def _files(a: Manifest, b: Manifest) -> Iterator[Row]:
    for name in sorted(a.files.keys() | b.files.keys()):
        hashes = [m.files[name].checksum if name in m.files else None for m in (a, b)]
        if hashes[0] != hashes[1]:
            yield {"file": name, "checksum": hashes}


def _fields(a: RunState, b: RunState) -> Iterator[Row]:
    mine, theirs = (s.model_dump(mode="json", by_alias=True) for s in (a, b))
    for name in sorted(mine):
        if mine[name] != theirs[name]:
            yield {"field": name, "values": [mine[name], theirs[name]]}
