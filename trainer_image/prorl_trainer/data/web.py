"""https:// data, and http:// data with a hash."""

import http.client
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any
from urllib.error import HTTPError, URLError

from prorl_api.spec_model import DataSet

from prorl_trainer.data.download import TIMEOUT_S, SourceAwayError, Stream
from prorl_trainer.errors import DataError, one_line

CHUNK_BYTES = 2**20
RETRIED = (408, 425, 429)
"""Beside all 5xx."""


@contextmanager
def open_url(dataset: DataSet) -> Iterator[Stream]:
    """The file behind the URI. Raises DataError, SourceAwayError."""
    request = urllib.request.Request(dataset.uri, headers={"User-Agent": "prorl"})
    opener = urllib.request.build_opener(_Redirects(dataset))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            length = response.headers.get("Content-Length")
            size = int(length) if length and length.isdecimal() else None
            yield Stream(size=size, chunks=iter(lambda: response.read(CHUNK_BYTES), b""))
    except HTTPError as error:
        raise _refusal(dataset, error) from error
    except (URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DataError(
                f"Dataset {dataset.name}: the certificate of {dataset.uri} is not trusted: "
                f"{reason.verify_message}."
            ) from error
        raise SourceAwayError(one_line(reason)) from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A redirect may not lead away from https, unless a hash is checked."""

    def __init__(self, dataset: DataSet) -> None:
        self._dataset = dataset

    def redirect_request(  # noqa: PLR0913 (the library's signature)
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> Any:
        allowed = ("https://", "http://") if self._dataset.sha256 else ("https://",)
        if not newurl.startswith(allowed):
            raise DataError(
                f"Dataset {self._dataset.name}: {self._dataset.uri} leads to {newurl}, which is "
                "not https and needs a sha256."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refusal(dataset: DataSet, error: HTTPError) -> Exception:
    status = f"HTTP {error.code} {error.reason}"
    if error.code >= 500 or error.code in RETRIED:
        return SourceAwayError(status)
    text = f"Dataset {dataset.name}: {dataset.uri} answers {status}"
    if error.code in (401, 403):
        return DataError(
            f"{text}; https:// data is read without credentials, s3:// and hf:// data with "
            "those of spec.data.credentialsSecret."
        )
    return DataError(f"{text}.")
