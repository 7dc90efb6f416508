"""hf:// data: files of a dataset repository at one commit. No code of it is run."""

import difflib
import os
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote, urlsplit

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from prorl_api.spec_model import DataSet

from prorl_trainer.data.download import TIMEOUT_S, Progress, SourceAwayError, check_size
from prorl_trainer.data.files import SUFFIXES
from prorl_trainer.errors import DataError, one_line


def download(dataset: DataSet, directory: Path, progress: Progress) -> None:
    """All files that the URI's path stands for. Raises DataError, SourceAwayError."""
    repository, pattern = split_uri(dataset)
    where = f"Dataset {dataset.name}: {repository} at {dataset.revision[:12]}"
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=os.environ.get("HF_TOKEN"))
    try:
        info = api.dataset_info(
            repository, revision=dataset.revision, files_metadata=True, timeout=TIMEOUT_S
        )
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        names = choose_files(where, pattern, list(sizes))
        check_size(dataset, sum(sizes[name] for name in names))
        for number, name in enumerate(names, 1):
            progress(f"Downloading {dataset.name}: file {number} of {len(names)}")
            api.hf_hub_download(
                repository,
                name,
                repo_type="dataset",
                revision=dataset.revision,
                local_dir=directory,
                etag_timeout=TIMEOUT_S,
            )
    except GatedRepoError as error:
        raise DataError(
            f"{where} is gated: {_token()}, and its owner must have said yes."
        ) from error
    except RepositoryNotFoundError as error:
        raise DataError(f"{where} does not exist or is private: {_token()}.") from error
    except RevisionNotFoundError as error:
        raise DataError(f"{where} has no such commit: {dataset.revision}.") from error
    # RuntimeError: hf_xet, which fetches large files, has no other.
    except (HTTPError, LocalEntryNotFoundError, FileMetadataError, RuntimeError) as error:
        raise SourceAwayError(one_line(error)) from error
    except OfflineModeIsEnabled as error:
        raise DataError(f"{where} cannot be asked for: HF_HUB_OFFLINE is set.") from error


def split_uri(dataset: DataSet) -> tuple[str, str]:
    """OWNER/NAME and the path in it. Raises DataError."""
    parts = [unquote(part) for part in urlsplit(dataset.uri).path.split("/") if part]
    if len(parts) < 3:
        raise DataError(
            f"Dataset {dataset.name}: {dataset.uri} must be hf://datasets/OWNER/NAME/PATH with the "
            "path of a .jsonl or .parquet file, in which * may stand for several."
        )
    return "/".join(parts[:2]), "/".join(parts[2:])


def choose_files(where: str, pattern: str, names: list[str]) -> list[str]:
    """The data files that the pattern stands for, sorted. Raises DataError with close matches."""
    data = sorted(name for name in names if _is_data(Path(name)))
    chosen = [name for name in data if fnmatchcase(name, pattern)]
    if not chosen:
        close = difflib.get_close_matches(pattern, data, n=3, cutoff=0.4) or data[:3]
        hint = f"; did you mean {' or '.join(close)}?" if close else ", and no other data file."
        raise DataError(f"{where} has no data file {pattern}{hint}")
    return chosen


def _is_data(path: Path) -> bool:
    outside = path.is_absolute() or ".." in path.parts
    return path.suffix in SUFFIXES and not outside


def _token() -> str:
    if os.environ.get("HF_TOKEN"):
        return "HF_TOKEN is set, but may not read it"
    return "HF_TOKEN is not set (spec.data.credentialsSecret)"
