"""s3:// exports: made on the run's own storage, then uploaded; the last file makes it one."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from prorl_trainer.checkpoint.files import storage_errors
from prorl_trainer.errors import ConfigError, StorageError, one_line
from prorl_trainer.export.manifest import EXPORT, ExportManifest, parse_manifest

DEFAULT_REGION = "us-east-1"


class S3Target:
    """target.Target for a bucket and a prefix, with the credentials of the environment."""

    def __init__(self, uri: str, staging_parent: Path) -> None:
        parts = urlsplit(uri)
        self.uri = uri
        self._prefix = parts.path.strip("/")
        self._staging_parent = staging_parent
        if not self._prefix:
            raise ConfigError(f"The export {uri} needs a prefix, s3://BUCKET/PREFIX.")
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        self._store: Any = S3Store(
            parts.netloc,
            region=os.environ.get("AWS_REGION") or DEFAULT_REGION,
            client_options={"allow_http": endpoint.startswith("http://")},
        )

    def existing(self) -> ExportManifest | None:
        """See Target. Files without export.json are a former attempt's, or foreign ones whose names
        an export does not use."""
        with self._errors():
            try:
                data = bytes(obstore.get(self._store, self._key(EXPORT)).bytes())
            except FileNotFoundError:
                return None
        found = parse_manifest(data)
        if found is None:
            raise ConfigError(f"The export {self.uri} has an {EXPORT} that is not ours.")
        return found

    def check_writable(self) -> None:
        """See Target. Leaves nothing."""
        key = self._key(f".probe-{uuid.uuid4().hex[:8]}")
        with self._errors():
            obstore.put(self._store, key, b"")
            obstore.delete(self._store, key)

    def staging(self) -> Path:
        """See Target."""
        staging = self._staging_parent / f".export.tmp-{uuid.uuid4().hex[:8]}"
        with storage_errors(staging):
            staging.mkdir(parents=True)
        return staging

    def commit(self, staging: Path) -> None:
        """See Target. Files go up one by one in parts; none is in memory."""
        names = sorted(path.name for path in staging.iterdir())
        with self._errors():
            for name in [*(n for n in names if n != EXPORT), EXPORT]:
                obstore.put(self._store, self._key(name), staging / name)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            why = one_line(error).split(" Debug source:")[0]
            raise StorageError(
                f"The export {self.uri} cannot be made: {why}. Credentials are those of "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (spec.data.credentialsSecret)."
            ) from error
