"""Objects of one S3 bucket below a prefix, with the credentials of the environment.

What is transient is tried again for a bounded time; every other fault is a StorageError that names
bucket, key and cause.
"""

import io
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from prorl_trainer.checkpoint.checksum import Hasher
from prorl_trainer.checkpoint.manifest import FileEntry
from prorl_trainer.errors import ConfigError, StorageAwayError, StorageError, one_line

log = logging.getLogger(__name__)

T = TypeVar("T")
DEFAULT_REGION = "us-east-1"
PATIENCE_S = 120.0
"""How long a store that does not answer is asked again."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
ANSWER_S = 30
"""Without a byte for so long, a connection is given up."""
PART_BYTES = 16 * 2**20
READ_BYTES = 2**20
MAX_COPY_BYTES = 5 * 10**9
"""S3 copies no larger object by itself."""
MAX_PARTS = 9000
"""S3 takes 10,000 parts of one object."""
FINAL = (
    AlreadyExistsError, InvalidPathError, NotSupportedError, PermissionDeniedError,
    PreconditionError, UnauthenticatedError,
)  # fmt: skip
"""Asking again would bring the same answer."""
FINAL_CODES = ("<Code>NoSuchBucket</Code>", "<Code>InvalidAccessKeyId</Code>")


class Objects:
    """Keys are relative to the prefix. Methods raise StorageError; a missing object is one too
    where None is no answer."""

    def __init__(self, uri: str, patience_s: float = PATIENCE_S) -> None:
        """uri: s3://BUCKET/PREFIX. Raises ConfigError."""
        parts = urlsplit(uri)
        self.uri = uri.rstrip("/")
        self._prefix = parts.path.strip("/")
        self._patience_s = patience_s
        if parts.scheme != "s3" or not parts.netloc or not self._prefix:
            raise ConfigError(f"{uri} must be s3://BUCKET/PREFIX.")
        self._store: Any = S3Store(parts.netloc, **_settings())

    def name(self, key: str) -> str:
        """The object's URI."""
        return f"{self.uri}/{key}"

    def get(self, key: str) -> bytes | None:
        """The content; None: there is no such object."""
        return self._try("read", key, lambda k: bytes(obstore.get(self._store, k).bytes()))

    def put(self, key: str, data: bytes) -> None:
        """Writes or replaces."""
        self._try("write", key, lambda k: obstore.put(self._store, k, data))

    def create(self, key: str, data: bytes) -> bool:
        """Writes if there is no such object (If-None-Match); False: another one is there. An
        answer that was lost on its way does not make our own object look like another's."""

        def create(full: str) -> bool:
            try:
                obstore.put(self._store, full, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        return bool(self._try("create", key, create)) or self.get(key) == data

    def copy(self, source: str, key: str) -> bool:
        """Has the bucket do it, at most MAX_COPY_BYTES. False where it does not, and says why in
        the log: the bytes can be uploaded."""
        try:
            obstore.copy(self._store, f"{self._prefix}/{source}", f"{self._prefix}/{key}")
        except (BaseError, FileNotFoundError) as error:
            log.warning("%s is written anew: no copy: %s", self.name(key), _cause(error))
            return False
        return True

    def upload(self, key: str, path: Path) -> None:
        """A file of any size, in parts; it is never in memory as a whole."""
        part = max(PART_BYTES, path.stat().st_size // MAX_PARTS)
        self._try("write", key, lambda k: obstore.put(self._store, k, path, chunk_size=part))

    def download(self, key: str, path: Path) -> FileEntry | None:
        """Into a new file, hashed on its way. Raises OSError for the file."""

        def download(full: str) -> FileEntry:
            with path.open("wb") as file:
                return _digest(obstore.get(self._store, full), file.write)

        return self._try("read", key, download)

    def open(self, key: str) -> io.BufferedReader:
        """A readable, seekable stream that fetches what is read."""
        stream = self._try(
            "read", key, lambda k: obstore.open_reader(self._store, k, buffer_size=READ_BYTES)
        )
        if stream is None:
            raise StorageError(f"{self.name(key)} is not there.")
        return io.BufferedReader(_Raw(stream), buffer_size=READ_BYTES)

    def digest(self, key: str) -> FileEntry | None:
        """Size and hash, of every byte as it is read."""
        return self._try("read", key, lambda k: _digest(obstore.get(self._store, k), len))

    def size(self, key: str) -> int | None:
        """In bytes; None: there is no such object."""
        return self._try("read", key, lambda k: int(obstore.head(self._store, k)["size"]))

    def list(self, key: str = "") -> dict[str, int]:
        """Key -> bytes of the objects below a key that ends with a slash, or of all."""

        def found(full: str) -> dict[str, int]:
            pages = obstore.list(self._store, prefix=full.rstrip("/"))
            start = len(self._prefix) + 1
            return {entry["path"][start:]: entry["size"] for page in pages for entry in page}

        return self._try("list", key, found) or {}

    def delete(self, keys: Iterable[str]) -> None:
        """What is not there already is no error."""
        for key in keys:
            self._try("delete", key, lambda k: obstore.delete(self._store, k))

    def _try(self, verb: str, key: str, act: Callable[[str], T]) -> T | None:
        end = time.monotonic() + self._patience_s
        for pause in _pauses():
            try:
                return act(f"{self._prefix}/{key}")
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise self._failure(verb, key, error) from error
                return None
            except BaseError as error:
                if _is_final(error):
                    raise self._failure(verb, key, error) from error
                if time.monotonic() + pause > end:
                    raise self._failure(verb, key, error, StorageAwayError) from error
                log.warning("%s %s failed, again in %.1f s: %s", verb, self.name(key), pause,
                            _cause(error))  # fmt: skip
                time.sleep(pause)
        raise AssertionError("pauses never end")

    def _failure(
        self, verb: str, key: str, error: BaseException, kind: type[StorageError] = StorageError
    ) -> StorageError:
        return kind(
            f"Cannot {verb} {self.name(key)}: {_cause(error)}. Credentials are those of "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (spec.data.credentialsSecret)."
        )


class _Raw(io.RawIOBase):
    """obstore's reader, which has no readinto, as Python's streams want it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = bytes(self._stream.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._stream.seek(offset, whence))


def _settings() -> dict[str, Any]:
    """Without a retry of the library's own: it would not say what it waits for."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    return {
        "region": os.environ.get("AWS_REGION") or DEFAULT_REGION,
        "client_options": {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=ANSWER_S),
            "read_timeout": timedelta(seconds=ANSWER_S),
            "timeout": timedelta(hours=2),
        },
        "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    }


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_S)


def _is_final(error: BaseError) -> bool:
    return isinstance(error, FINAL) or any(code in str(error) for code in FINAL_CODES)


def _cause(error: BaseException) -> str:
    return one_line(error).split(" Debug source:")[0]


def _digest(found: Any, take: Callable[[bytes], object]) -> FileEntry:
    hashed, size = Hasher(), 0
    for chunk in found.stream(min_chunk_size=PART_BYTES):
        data = bytes(chunk)
        hashed.update(data)
        size += len(data)
        take(data)
    return FileEntry(size_bytes=size, checksum=hashed.hexdigest())
