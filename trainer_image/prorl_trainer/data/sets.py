"""One data set of the job, read: its rows and a fingerprint of all of them."""

import hashlib
import importlib.metadata
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from prorl_api import runtime
from prorl_api.spec_model import DataSet, Domain, VerifierName

from prorl_trainer.data import hub, s3, web
from prorl_trainer.data.cache import DataCache
from prorl_trainer.data.download import Progress, Stream, save
from prorl_trainer.data.files import SUFFIXES, unreadable
from prorl_trainer.data.gym import parse_gym, read_gym
from prorl_trainer.data.rows import Rows, read_files
from prorl_trainer.errors import DataError

DEFAULT_VERIFIERS = {
    Domain.MATH: VerifierName.MATH_VERIFY,
    Domain.LOGIC: VerifierName.REASONING_GYM,
    Domain.STEM: VerifierName.STEM,
    Domain.INSTRUCTION: VerifierName.INSTRUCTION,
    Domain.CODE: VerifierName.CODE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedSet:
    """A set with its rows."""

    dataset: DataSet
    rows: Rows
    fingerprint: str
    """sha256: of a file's bytes (of the files' hashes, if there are several), or of a generator's
    options and its library's version. The spec's fields are no part of it."""

    @property
    def name(self) -> str:
        """Unique within the job."""
        return self.dataset.name

    @property
    def generated(self) -> bool:
        """Rows are made on demand."""
        return is_generated(self.dataset)


def is_generated(dataset: DataSet) -> bool:
    """gym:// data."""
    return dataset.uri.startswith("gym://")


def verifier_of(dataset: DataSet) -> str:
    """The scorer of a set: the one named, or the domain's default."""
    if dataset.verifier is not None:
        return dataset.verifier
    if is_generated(dataset):
        return VerifierName.REASONING_GYM
    return DEFAULT_VERIFIERS[dataset.domain]


def load_set(dataset: DataSet, cache: DataCache) -> LoadedSet:
    """Raises DataError, StorageError."""
    if is_generated(dataset):
        source = parse_gym(dataset.name, dataset.uri)
        version = importlib.metadata.version("reasoning-gym")
        text = f"{source.dataset} {source.size} {source.seed} {source.options} {version}"
        fingerprint = hashlib.sha256(text.encode()).hexdigest()
        return LoadedSet(dataset=dataset, rows=read_gym(dataset, source), fingerprint=fingerprint)
    paths = local_files(dataset, cache)
    try:
        rows = read_files(dataset, verifier_of(dataset), paths)
    except DataError:
        cache.forget(dataset)
        raise
    return LoadedSet(dataset=dataset, rows=rows, fingerprint=check_hash(dataset, paths))


def local_files(dataset: DataSet, cache: DataCache) -> list[Path]:
    """The files of a set, downloaded at the first start. Raises DataError, StorageError."""
    parts = urlsplit(dataset.uri)
    path = unquote(parts.path).lstrip("/")
    if parts.scheme not in ("http", "https") and parts.query:
        raise DataError(f"Dataset {dataset.name}: {dataset.uri} must not have a `?`.")
    if parts.scheme == "file":
        return [Path("/") / path]
    if parts.scheme == "pvc":
        return [Path(runtime.DATA_CLAIM_DIR) / parts.netloc / path]
    if Path(path).suffix not in SUFFIXES:
        raise DataError(
            f"Dataset {dataset.name}: {dataset.uri} must end in {' or '.join(SUFFIXES)}."
        )
    fill = partial(_download, dataset, cache.progress)
    directory = cache.directory_of(dataset, fill)
    return sorted(p for p in directory.rglob("*") if p.suffix in SUFFIXES)


def _download(dataset: DataSet, progress: Progress, directory: Path) -> None:
    parts = urlsplit(dataset.uri)
    if parts.scheme == "hf":
        hub.download(dataset, directory, progress)
        shutil.rmtree(directory / ".cache", ignore_errors=True)
        return
    path = directory / Path(unquote(parts.path)).name
    progress(f"Downloading {dataset.name}")
    with _OPENERS[parts.scheme](dataset) as stream:
        save(dataset, stream, path, progress)
    check_hash(dataset, [path])


_OPENERS: dict[str, Callable[[DataSet], AbstractContextManager[Stream]]] = {
    "https": web.open_url,
    "http": web.open_url,
    "s3": s3.open_object,
}


def check_hash(dataset: DataSet, paths: Sequence[Path]) -> str:
    """The fingerprint of the files. Raises DataError if it is not the sha256 of the spec."""
    found = [_sha256(dataset, path) for path in paths]
    if dataset.sha256 and found != [dataset.sha256]:
        raise DataError(
            f"Dataset {dataset.name}: {dataset.uri} has sha256 {found[0]}, and the job wants "
            f"{dataset.sha256}."
        )
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def _sha256(dataset: DataSet, path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(dataset.name, path, error) from error
