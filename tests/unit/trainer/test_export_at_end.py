"""spec.export around a run: what is refused at its start, and what a failure at its end costs."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from export_builders import (
    Trained,
    make_context,
    make_export,
    make_holder,
    make_trained,
)
from prorl_api.spec_output import ExportSpec
from prorl_api.status import ExportStatus
from prorl_api.wire import StatusDocument
from prorl_trainer.errors import ConfigError, StorageError
from prorl_trainer.export.at_end import check_export, export_at_end


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return make_trained(tmp_path_factory.mktemp("run"))


async def end(trained: Trained, uri: str | None) -> StatusDocument:
    holder = make_holder()
    await export_at_end(make_context(trained.directory, uri), holder, trained.model_dir, 9)
    return holder.document()


async def test_the_export_of_the_last_checkpoint_is_in_status(
    trained: Trained, tmp_path: Path
) -> None:
    uri = f"file://{tmp_path}/model"
    document = await end(trained, uri)
    assert document.export == ExportStatus(uri=uri, step=9)
    assert document.export_failure == ""
    assert (tmp_path / "model" / "model.safetensors").is_file()


async def test_a_run_without_export_exports_nothing(trained: Trained) -> None:
    document = await end(trained, None)
    assert (document.export, document.export_failure) == (None, "")


async def test_a_failed_export_is_told_and_not_raised(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    document = await end(trained, f"file://{tmp_path}/file/model")
    assert document.export is None
    assert "cannot be written" in document.export_failure


async def test_an_unforeseen_failure_is_told_too(trained: Trained, tmp_path: Path) -> None:
    copy = dataclasses.replace(trained, directory=tmp_path / "run")
    shutil.copytree(trained.directory, copy.directory)
    (copy.directory / "checkpoints" / "step-00000009" / "shards" / ".metadata").write_bytes(b"?")
    document = await end(copy, f"file://{tmp_path}/model")
    assert document.export is None
    assert document.export_failure
    assert not (tmp_path / "model").exists()


def test_a_place_that_cannot_be_written_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_export(make_context(tmp_path, f"file://{tmp_path}/new/model"))
    assert not list((tmp_path / "new").iterdir())
    with pytest.raises(StorageError, match="cannot be written"):
        check_export(make_context(tmp_path, f"file://{tmp_path}/file/model"))


def test_the_export_of_another_job_is_found_before_the_run(
    trained: Trained, tmp_path: Path
) -> None:
    make_export(trained, tmp_path / "model")
    context = make_context(tmp_path, f"file://{tmp_path}/model")
    check_export(context)  # its own, of a former attempt
    other = context.job.model_copy(update={"uid": "another"})
    with pytest.raises(ConfigError, match=r"spec.export.uri .*: the export of another job, small"):
        check_export(dataclasses.replace(context, job=other))


@pytest.mark.parametrize(("uri", "says"), [
    ("file:///models/x", "nothing of it would outlive the pod"),
    ("pvc://claim", r"a claim needs a path, pvc://CLAIM/PATH"),
])  # fmt: skip
def test_what_a_pod_cannot_keep_is_refused_at_its_start(
    tmp_path: Path, uri: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        check_export(make_context(tmp_path, uri, local=False))


@pytest.mark.parametrize("path", ["pvc://c/../x", "file:///a/../../etc", "pvc://c/.hidden", "x"])
def test_a_uri_cannot_leave_its_place(path: str) -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        ExportSpec(uri=path)
