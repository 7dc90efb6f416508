"""A checkpoint as it is read, or set aside where it cannot be used."""

import logging
from dataclasses import dataclass

from prorl_trainer.checkpoint.documents import DOCUMENTS, parse_state
from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.medium import Medium
from prorl_trainer.checkpoint.state import RunState

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A committed checkpoint."""

    name: str
    """Its directory or URI."""
    shards: str
    """What the learners load from."""
    manifest: Manifest
    state: RunState


def read_checkpoint(medium: Medium, step: int, *, hashes: bool) -> Checkpoint:
    """Verified: every byte, or sizes only. Raises ValueError with what is wrong, CheckpointError if
    another version wrote it, StorageError if it cannot be read."""
    manifest = medium.manifest(step)
    medium.check(step, manifest, hashes=hashes)
    names = [name for name in DOCUMENTS if name in manifest.files]
    state = parse_state({name: medium.document(step, manifest, name) for name in names})
    if not step == manifest.step == state.step:
        raise ValueError(f"manifest and state are of steps {manifest.step} and {state.step}")
    return Checkpoint(
        name=medium.name(step),
        shards=medium.shards(step, manifest),
        manifest=manifest,
        state=state,
    )


def set_aside(medium: Medium, step: int, reason: str) -> None:
    """Quarantine: its bytes stay. Raises StorageError."""
    log.error("checkpoint=%s quarantined: %s", medium.name(step), reason)
    medium.set_aside(step, reason)
