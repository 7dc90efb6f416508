"""An export into an S3 store (moto's server), as the environment of a pod names it."""

import json
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from export_builders import Trained, make_export, make_trained
from obstore.store import S3Store
from prorl_api.spec_output import ExportDtype
from prorl_trainer.errors import ConfigError, StorageError
from prorl_trainer.export.export import write_export
from prorl_trainer.export.s3_target import S3Target
from s3_server import s3_bucket


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return make_trained(tmp_path_factory.mktemp("run"))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    """A bucket `models`."""
    with s3_bucket("models", monkeypatch) as bucket:
        yield bucket


def objects(bucket: S3Store) -> dict[str, bytes]:
    found = [entry["path"] for page in obstore.list(bucket) for entry in page]
    return {path: bytes(obstore.get(bucket, path).bytes()) for path in found}


def test_an_export_in_a_bucket_is_that_of_a_directory(
    trained: Trained, bucket: S3Store, tmp_path: Path
) -> None:
    target = S3Target("s3://models/run/final", tmp_path / "staging")
    target.check_writable()
    assert objects(bucket) == {}
    write_export(trained.source, target, ExportDtype.FLOAT32)
    assert list((tmp_path / "staging").iterdir()) == []
    make_export(trained, tmp_path / "local")
    wanted = {f"run/final/{p.name}": p.read_bytes() for p in (tmp_path / "local").iterdir()}
    assert objects(bucket) == wanted


def test_what_is_there_is_kept(trained: Trained, bucket: S3Store, tmp_path: Path) -> None:
    target = S3Target("s3://models/run", tmp_path)
    write_export(trained.source, target, ExportDtype.FLOAT32)
    before = objects(bucket)
    write_export(trained.source, target, ExportDtype.FLOAT32)
    with pytest.raises(ConfigError, match=r"s3://models/run exists already"):
        write_export(trained.source, target, ExportDtype.BFLOAT16)
    obstore.put(bucket, "other/export.json", json.dumps({"mine": 1}).encode())
    with pytest.raises(ConfigError, match=r"has an export.json that is not ours"):
        write_export(trained.source, S3Target("s3://models/other", tmp_path), ExportDtype.FLOAT32)
    assert {k: v for k, v in objects(bucket).items() if k.startswith("run/")} == before


@pytest.mark.usefixtures("bucket")
def test_a_store_that_refuses_is_named_with_the_credentials(
    trained: Trained, tmp_path: Path
) -> None:
    target = S3Target("s3://no-such-bucket/run", tmp_path)
    with pytest.raises(StorageError, match=r"s3://no-such-bucket/run cannot be made.*AWS_ACCESS"):
        write_export(trained.source, target, ExportDtype.FLOAT32)
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_alone_is_no_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a prefix"):
        S3Target("s3://models", tmp_path)
