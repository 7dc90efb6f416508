"""Data from an S3 store (moto's server) and from an endpoint with Hugging Face's routes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
import pytest
from data_builders import ROWS, Answer, make_cache, make_set, serve, write_rows
from obstore.store import S3Store
from prorl_api.runtime import CREDENTIAL_KEYS
from prorl_trainer.data.sets import load_set
from prorl_trainer.errors import DataError, StorageError
from s3_server import s3_bucket

REVISION = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "hf://datasets/owner/tasks"


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None of this machine's: neither variables nor a login of the hub."""
    for key in CREDENTIAL_KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    """A bucket `tasks`; the environment is what a credentials Secret would make of it."""
    with s3_bucket("tasks", monkeypatch, session_token="token") as bucket:
        yield bucket


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_an_object_is_read_with_the_keys_of_the_environment(
    suffix: str, bucket: S3Store, tmp_path: Path
) -> None:
    body = write_rows(tmp_path / f"rows.{suffix}", ROWS).read_bytes()
    obstore.put(bucket, f"deep/some rows.{suffix}", body)
    dataset = make_set(f"s3://tasks/deep/some%20rows.{suffix}")
    loaded = load_set(dataset, make_cache(tmp_path))
    assert [row.answer for row in loaded.rows] == ["2", "4"]
    assert loaded.fingerprint == hashlib.sha256(body).hexdigest()
    obstore.delete(bucket, f"deep/some rows.{suffix}")
    assert load_set(dataset, make_cache(tmp_path)).fingerprint == loaded.fingerprint


def test_an_object_of_several_chunks_arrives_whole(bucket: S3Store, tmp_path: Path) -> None:
    rows = [{"prompt": f"{i} " + "x" * 1000, "answer": str(i)} for i in range(20_000)]
    body = write_rows(tmp_path / "rows.jsonl", rows).read_bytes()
    assert len(body) > 2 * 8 * 2**20
    obstore.put(bucket, "rows.jsonl", body)
    loaded = load_set(make_set("s3://tasks/rows.jsonl"), make_cache(tmp_path))
    assert loaded.fingerprint == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("uri", "code"),
    [("s3://tasks/none.jsonl", "NoSuchKey"), ("s3://no-bucket/a.jsonl", "NoSuchBucket")],
)
@pytest.mark.usefixtures("bucket")
def test_what_is_not_in_the_store_is_named(uri: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_set(make_set(uri), make_cache(tmp_path, tries=3))
    assert str(caught.value) == f"Dataset a: {uri} does not exist ({code})."


def test_without_a_key_the_store_is_asked_anonymously_and_a_refusal_says_so(
    bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    obstore.put(bucket, "rows.jsonl", b"{}")
    dataset = make_set("s3://tasks/rows.jsonl")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(DataError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together"):
        load_set(dataset, make_cache(tmp_path))
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(DataError) as caught:
        load_set(dataset, make_cache(tmp_path))
    assert "is refused: AWS_ACCESS_KEY_ID is not set (spec.data.credentialsSecret)" in str(
        caught.value
    )


def test_a_store_that_is_away_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StorageError, match=r"s3://tasks/a\.jsonl could not be read in 2 tries"):
        load_set(make_set("s3://tasks/a.jsonl"), make_cache(tmp_path, tries=2))


class Hub:
    """The routes of a Hugging Face endpoint that reading a data set at a commit uses."""

    def __init__(self, files: Mapping[str, bytes], token: str | None = None) -> None:
        self._files = files
        self._token = token
        self.requests: list[str] = []

    def __call__(self, path: str, headers: Mapping[str, str]) -> Answer:
        path = unquote(urlsplit(path).path)
        self.requests.append(path)
        lower = {name.lower(): value for name, value in headers.items()}
        if self._token and lower.get("authorization") != f"Bearer {self._token}":
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        if path == f"/api/datasets/owner/tasks/revision/{REVISION}":
            return 200, {"Content-Type": "application/json"}, self._listing()
        if path.startswith("/api/datasets/owner/tasks/revision/"):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        body = self._files.get(path.removeprefix(f"/datasets/owner/tasks/resolve/{REVISION}/"))
        if body is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        etag = hashlib.sha256(body).hexdigest()
        return 200, {"ETag": f'"{etag}"', "X-Repo-Commit": REVISION}, body

    def _listing(self) -> bytes:
        siblings = [{"rfilename": n, "size": len(b)} for n, b in self._files.items()]
        info = {"id": "owner/tasks", "sha": REVISION, "siblings": siblings, "tags": []}
        return json.dumps(info).encode()


def make_files(directory: Path) -> dict[str, bytes]:
    """Two parts of a training set, a test set, and what else repositories hold."""
    parts = [write_rows(directory / f"{i}.parquet", [row]) for i, row in enumerate(ROWS)]
    test = write_rows(directory / "test.jsonl", ROWS).read_bytes()
    return {
        "data/train-00001-of-00002.parquet": parts[1].read_bytes(),
        "data/train-00000-of-00002.parquet": parts[0].read_bytes(),
        "test.jsonl": test,
        "README.md": b"# tasks",
        "tasks.py": b"raise SystemExit('code of a data set was run')",
    }


def test_the_files_of_a_pattern_are_read_in_order_at_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(make_files(tmp_path), token="secret")
    dataset = make_set(f"{REPOSITORY}/data/train-*.parquet", revision=REVISION)
    monkeypatch.setenv("HF_TOKEN", "secret")
    with serve(hub) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        loaded = load_set(dataset, make_cache(tmp_path))
    assert [row.answer for row in loaded.rows] == ["2", "4"]
    assert loaded.rows.place(1) == "train-00001-of-00002.parquet row 1"
    assert not [path for path in hub.requests if path.endswith((".py", ".md", "test.jsonl"))]
    again = load_set(dataset, make_cache(tmp_path))  # the endpoint is gone
    assert again.fingerprint == loaded.fingerprint


@pytest.mark.parametrize(
    ("path", "revision", "token", "words"),
    [
        ("data/trian-*.parquet", REVISION, "secret", "did you mean data/train-0000"),
        ("none/x.jsonl", REVISION, "secret", "at 0123456789ab has no data file none/x.jsonl"),
        ("tasks.py", REVISION, "secret", "must end in .jsonl or .parquet"),
        ("test.jsonl", "f" * 40, "secret", f"has no such commit: {'f' * 40}"),
        ("test.jsonl", REVISION, "wrong", "is private: HF_TOKEN is set, but may not read it"),
        ("test.jsonl", REVISION, None, "is private: HF_TOKEN is not set (spec.data.credentials"),
    ],
)
def test_what_the_hub_does_not_give_is_a_data_error(
    path: str,
    revision: str,
    token: str | None,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with serve(Hub(make_files(tmp_path), token="secret")) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        dataset = make_set(f"{REPOSITORY}/{path}", revision=revision)
        with pytest.raises(DataError) as caught:
            load_set(dataset, make_cache(tmp_path))
    assert words in str(caught.value)


def test_a_hub_that_is_away_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(StorageError, match="could not be read in 1 tries"):
        load_set(make_set(f"{REPOSITORY}/a.jsonl", revision=REVISION), make_cache(tmp_path))
