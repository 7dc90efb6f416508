"""The directory of a prorl run: what is reserved in it, and what may have changed."""

import json
import os
from pathlib import Path

import pytest
from manifests import manifest
from prorl_cli.manifest import load_job
from prorl_cli.rundir import RunDirectoryError, prepare


def test_room_for_the_last_word_is_reserved(tmp_path: Path) -> None:
    os.close(prepare(tmp_path / "run", make_job(tmp_path), fresh=False))
    assert (tmp_path / "run/termination.json").stat().st_size >= 8192


def make_job(tmp_path: Path, *changes: str):  # type: ignore[no-untyped-def]
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(manifest(algorithm={"steps": 3})))
    return load_job(path, changes)


def test_another_specification_is_refused_by_its_first_differing_field(tmp_path: Path) -> None:
    os.close(prepare(tmp_path / "run", make_job(tmp_path), fresh=False))
    with pytest.raises(RunDirectoryError, match=r"spec\.algorithm\.seed was 0 and is 9 now"):
        prepare(tmp_path / "run", make_job(tmp_path, "algorithm.seed=9"), fresh=False)


def test_fresh_moves_the_old_run_aside(tmp_path: Path) -> None:
    os.close(prepare(tmp_path / "run", make_job(tmp_path), fresh=False))
    os.close(prepare(tmp_path / "run", make_job(tmp_path, "algorithm.steps=9"), fresh=True))
    assert json.loads((tmp_path / "run.1/job.json").read_text())["spec"]["algorithm"]["steps"] == 3
    assert json.loads((tmp_path / "run/job.json").read_text())["spec"]["algorithm"]["steps"] == 9


def test_what_may_change_does_not_hinder_a_resume(tmp_path: Path) -> None:
    os.close(prepare(tmp_path / "run", make_job(tmp_path), fresh=False))
    changed = make_job(tmp_path, "rollout.replicas=2", "algorithm.steps=9", "checkpoint.keep=5")
    os.close(prepare(tmp_path / "run", changed, fresh=False))
    assert json.loads((tmp_path / "run/job.json").read_text())["spec"]["rollout"]["replicas"] == 2


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("algorithm.steps", "--set algorithm.steps"),
        ("algorithm..steps=1", "--set algorithm..steps=1"),
        ("data.train[4].weight=2", "--set data.train[4].weight"),
        ("algorithm.stepz=1", "spec.algorithm.stepz"),
        ("algorithm.steps=many", "spec.algorithm.steps"),
        ("rollout.minReplicas=3", "spec.rollout.minReplicas"),
        ("model.uri=pvc://claim/model", "spec.model.uri"),
        ("suspend=true", "spec.suspend"),
        ("data.train[0]={name: a, domain: math, uri: pvc://c/x.jsonl}", "spec.data.train[0].uri"),
    ],
)
def test_a_wrong_change_is_a_problem(tmp_path: Path, change: str, path: str) -> None:
    assert [problem.path for problem in make_job(tmp_path, change)] == [path]


def test_a_change_reaches_into_lists(tmp_path: Path) -> None:
    assert make_job(tmp_path, "spec.data.train[0].weight=2").spec.data.train[0].weight == 2
