"""export.json makes a directory an export: of which job and step, and what is in it."""

import hashlib
from pathlib import Path

from prorl_api.base import ApiModel
from prorl_api.spec_output import ExportDtype
from pydantic import Field, ValidationError

from prorl_trainer.checkpoint.state import RunState

EXPORT = "export.json"
SCHEMA_VERSION = 1


class ExportedFile(ApiModel):
    """One file; whoever gets it elsewhere can tell whether it is this one."""

    size_bytes: int = Field(ge=0)
    sha256: str


class ExportManifest(ApiModel):
    """Written last."""

    schema_version: int = SCHEMA_VERSION
    job_name: str
    job_uid: str
    spec_hash: str
    step: int
    dtype: ExportDtype
    reference_version: int
    checkpoint_sha256: str
    """Of the checkpoint's manifest.json, which names every file of it with its hash."""
    files: dict[str, ExportedFile]

    def same_weights(self, other: "ExportManifest") -> bool:
        """Another export of this checkpoint."""
        mine = (self.job_uid, self.step, self.dtype, self.checkpoint_sha256)
        return mine == (other.job_uid, other.step, other.dtype, other.checkpoint_sha256)


def describe(
    state: RunState, dtype: ExportDtype, checkpoint_sha256: str, directory: Path | None
) -> ExportManifest:
    """The manifest of what is in the directory; None: nothing yet."""
    files = [] if directory is None else sorted(p for p in directory.iterdir() if p.is_file())
    return ExportManifest(
        job_name=state.job_name,
        job_uid=state.job_uid,
        spec_hash=state.spec_hash,
        step=state.step,
        dtype=dtype,
        reference_version=state.reference.version,
        checkpoint_sha256=checkpoint_sha256,
        files={
            path.name: ExportedFile(size_bytes=path.stat().st_size, sha256=sha256(path))
            for path in files
        },
    )


def parse_manifest(data: bytes) -> ExportManifest | None:
    """None for what is no export.json of ours."""
    try:
        return ExportManifest.model_validate_json(data)
    except ValidationError:
        return None


def sha256(path: Path) -> str:
    """Of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
