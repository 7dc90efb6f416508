"""s3:// data, from AWS or any other store with the S3 interface."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store
from prorl_api.spec_model import DataSet

from prorl_trainer.data.download import TIMEOUT_S, SourceAwayError, Stream
from prorl_trainer.errors import DataError, one_line

CHUNK_BYTES = 8 * 2**20
DEFAULT_REGION = "us-east-1"


@contextmanager
def open_object(dataset: DataSet) -> Iterator[Stream]:
    """The object of the URI. Raises DataError, SourceAwayError."""
    parts = urlsplit(dataset.uri)
    where = f"Dataset {dataset.name}: {dataset.uri}"
    key, secret = (os.environ.get(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    if bool(key) != bool(secret):
        raise DataError(f"{where}: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together.")
    try:
        store = S3Store(parts.netloc, **_settings(signed=bool(key)))
        found = obstore.get(store, unquote(parts.path.lstrip("/")))
        chunks = (bytes(chunk) for chunk in found.stream(min_chunk_size=CHUNK_BYTES))
        yield Stream(size=found.meta["size"], chunks=chunks)
    except FileNotFoundError as error:
        raise DataError(f"{where} does not exist{_code(error)}.") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise DataError(f"{where} is refused{_code(error)}: {_credentials()}.") from error
    except BaseError as error:
        raise SourceAwayError(one_line(error).split(" Debug source:")[0]) from error
    except ValueError as error:
        raise DataError(f"{where} cannot be asked for: {one_line(error)}.") from error


def _settings(*, signed: bool) -> dict[str, Any]:
    """What the library does not take from the environment as it is. Without a key requests are not
    signed, as public buckets want it; the library would go and look for the role of a machine."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    return {
        "region": os.environ.get("AWS_REGION") or DEFAULT_REGION,
        "skip_signature": not signed,
        "client_options": {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=TIMEOUT_S),
            "read_timeout": timedelta(seconds=TIMEOUT_S),
            "timeout": timedelta(hours=2),
        },
        # The cache tries again, with the reason in the progress line.
        "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    }


def _code(error: BaseException) -> str:
    """`NoSuchKey` and the like, where the store says it."""
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return f" ({found[1]})" if found else ""


def _credentials() -> str:
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return "AWS_ACCESS_KEY_ID is set, but may not read it"
    return "AWS_ACCESS_KEY_ID is not set (spec.data.credentialsSecret), so it was read anonymously"
