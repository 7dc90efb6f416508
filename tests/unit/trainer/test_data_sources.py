"""Data from the web: fetched once, whole or not at all, and every failure has its own words."""

import hashlib
import ssl
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from data_builders import ROWS, Answer, make_cache, make_set, serve, write_rows
from prorl_trainer.data.download import MIB, REPORT_BYTES, Stream, save
from prorl_trainer.data.sets import load_set
from prorl_trainer.errors import DataError, StorageError, TrainingError


class Site:
    """Answers in order, the last one for ever; counts what it was asked for."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = answers
        self.paths: list[str] = []

    def __call__(self, path: str, headers: Mapping[str, str]) -> Answer:
        self.paths.append(path)
        return self._answers[min(len(self.paths), len(self._answers)) - 1]


def rows_file(directory: Path) -> bytes:
    return write_rows(directory / "rows.jsonl", ROWS).read_bytes()


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def failure(uri: str, directory: Path, tries: int = 1, **fields: Any) -> TrainingError:
    with pytest.raises((DataError, StorageError)) as caught:
        load_set(make_set(uri, **fields), make_cache(directory, tries))
    assert not list((directory / "data").iterdir()), "something half was kept"
    return caught.value


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_file_is_fetched_once_and_read_again_without_the_source(
    suffix: str, tmp_path: Path
) -> None:
    body = write_rows(tmp_path / f"rows.{suffix}", ROWS).read_bytes()
    site = Site((200, {}, body))
    with serve(site) as url:
        dataset = make_set(f"{url}/some/a%20b.{suffix}?v=1", sha256=sha256(body))
        first = load_set(dataset, make_cache(tmp_path))
    again = load_set(dataset, make_cache(tmp_path))
    assert list(first.rows) == list(again.rows)
    assert first.fingerprint == again.fingerprint == sha256(body)
    assert first.rows.place(1) == f"a b.{suffix} row 2"
    assert site.paths == [f"/some/a%20b.{suffix}?v=1"]


def test_a_local_and_a_downloaded_file_have_the_same_fingerprint(tmp_path: Path) -> None:
    body = rows_file(tmp_path)
    local = load_set(make_set(f"file://{tmp_path}/rows.jsonl"), make_cache(tmp_path))
    assert local.fingerprint == sha256(body)


def test_another_hash_than_the_specs_is_refused_and_not_kept(tmp_path: Path) -> None:
    body, wanted = rows_file(tmp_path), "0" * 64
    with serve(Site((200, {}, body))) as url:
        error = failure(f"{url}/a.jsonl", tmp_path, sha256=wanted)
    assert isinstance(error, DataError)
    assert f"has sha256 {sha256(body)}, and the job wants {wanted}" in str(error)
    with pytest.raises(DataError, match=f"rows.jsonl has sha256 {sha256(body)}"):
        load_set(make_set(f"file://{tmp_path}/rows.jsonl", sha256=wanted), make_cache(tmp_path))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, {}, b""), "answers HTTP 404 Not Found."),
        ((401, {}, b""), "HTTP 401 Unauthorized; https:// data is read without credentials"),
        ((403, {}, b""), "HTTP 403 Forbidden; https:// data is read without credentials"),
        ((200, {}, b"\n<!DOCTYPE html><p>Log in"), "sends a web page in place of data"),
        ((200, {}, b""), "has no rows"),
        ((302, {"Location": "http://127.0.0.1:1/a.jsonl"}, b""), "which is not https and needs a"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "url 'file:///etc/passwd' is not allowed"),
        ((200, {"Content-Length": str(2**40)}, b""), "has more than 8192 MiB, the limit"),
    ],
)  # fmt: skip
def test_what_another_try_would_not_change_is_a_data_error_at_once(
    answer: Answer, words: str, tmp_path: Path
) -> None:
    site = Site(answer)
    with serve(site) as url, pytest.raises(DataError) as caught:
        load_set(make_set(f"{url}/a.jsonl"), make_cache(tmp_path, tries=3))
    assert words in str(caught.value)
    assert "Dataset a: " in str(caught.value)
    assert len(site.paths) == 1
    assert not list((tmp_path / "data").iterdir())


def test_a_file_that_is_repaired_at_its_source_is_read_at_the_next_start(tmp_path: Path) -> None:
    with serve(Site((200, {}, b'{"prompt": "1"}'), (200, {}, rows_file(tmp_path)))) as url:
        dataset = make_set(f"{url}/a.jsonl")
        with pytest.raises(DataError, match="has no column `answer`"):
            load_set(dataset, make_cache(tmp_path))
        assert len(load_set(dataset, make_cache(tmp_path)).rows) == 2


@pytest.mark.parametrize(
    "away",
    [
        pytest.param((503, {}, b""), id="busy"),
        pytest.param((429, {}, b""), id="too many"),
        pytest.param((200, {"Content-Length": "500"}, b'{"prompt": "1", '), id="broken off"),
    ],
)
def test_a_source_that_comes_back_is_asked_again(away: Answer, tmp_path: Path) -> None:
    body = rows_file(tmp_path)
    site = Site(away, away, (200, {}, body))
    with serve(site) as url:
        loaded = load_set(make_set(f"{url}/a.jsonl"), make_cache(tmp_path, tries=3))
    assert [row.answer for row in loaded.rows] == ["2", "4"]
    assert len(site.paths) == 3


def test_a_source_that_stays_away_is_a_storage_error_that_a_restart_may_heal(
    tmp_path: Path,
) -> None:
    with serve(Site((200, {"Content-Length": "99"}, b"{}"))) as url:
        error = failure(f"{url}/a.jsonl", tmp_path, tries=2)
    assert isinstance(error, StorageError)
    assert "could not be read in 2 tries: it broke off after 2 of 99 bytes" in str(error)
    error = failure("http://127.0.0.1:1/a.jsonl", tmp_path)
    assert isinstance(error, StorageError)
    assert "Connection refused" in str(error)


def test_a_redirect_is_followed_where_a_hash_is_checked(tmp_path: Path) -> None:
    body = rows_file(tmp_path)
    site = Site((302, {"Location": "/b.jsonl"}, b""), (200, {}, body))
    with serve(site) as url:
        dataset = make_set(f"{url}/a.jsonl", sha256=sha256(body))
        assert len(load_set(dataset, make_cache(tmp_path)).rows) == 2
    assert site.paths == ["/a.jsonl", "/b.jsonl"]


def certificate(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate of 127.0.0.1, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "data")])
    now = datetime(2020, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, directory / "key.pem")
    return path, context


def test_https_needs_a_certificate_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, tls = certificate(tmp_path)
    with serve(Site((200, {}, rows_file(tmp_path))), tls) as url:
        dataset = make_set(f"{url}/a.jsonl")
        with pytest.raises(DataError, match=r"the certificate of https://127.* is not trusted"):
            load_set(dataset, make_cache(tmp_path))
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert len(load_set(dataset, make_cache(tmp_path)).rows) == 2


def test_racing_starts_leave_one_whole_copy(tmp_path: Path) -> None:
    with serve(Site((200, {}, rows_file(tmp_path)))) as url:
        dataset = make_set(f"{url}/a.jsonl")
        sizes: list[int] = []
        threads = [
            threading.Thread(
                target=lambda: sizes.append(len(load_set(dataset, make_cache(tmp_path)).rows))
            )
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sizes == [2, 2, 2]
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_a_set_with_another_hash_or_revision_is_another_download(tmp_path: Path) -> None:
    made: list[Path] = []
    uri = "https://h/a.jsonl"
    for fields in ({}, {"sha256": "a" * 64}, {"revision": "a" * 40}):
        made.append(make_cache(tmp_path).directory_of(make_set(uri, **fields), lambda _: None))
    assert len(set(made)) == 3


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file:///x.jsonl?v=1", "must not have a `?`"),
        ("s3://bucket/x.csv", "must end in .jsonl or .parquet"),
        ("https://h/download", "must end in .jsonl or .parquet"),
    ],
)
def test_a_uri_that_cannot_be_data_is_refused_before_anything_is_fetched(
    uri: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        load_set(make_set(uri), make_cache(tmp_path))
    assert words in str(caught.value)


def test_progress_says_how_much_of_how_much(tmp_path: Path) -> None:
    said: list[str] = []
    size = 2 * REPORT_BYTES
    stream = Stream(size=size, chunks=(b"x" * MIB for _ in range(size // MIB)))
    save(make_set(), stream, tmp_path / "x", said.append)
    assert said == ["Downloading a: 32 of 64 MiB", "Downloading a: 64 of 64 MiB"]


def test_a_cache_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with (
        serve(Site((200, {}, rows_file(tmp_path)))) as url,
        pytest.raises(StorageError, match=r"Dataset a cannot be kept: .*Not a directory"),
    ):
        load_set(make_set(f"{url}/a.jsonl"), make_cache(tmp_path))
