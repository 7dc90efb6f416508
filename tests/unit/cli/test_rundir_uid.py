"""The id of a local run, by which trackers know it."""

import json
import os
from pathlib import Path

from prorl_api.job import parse_job
from prorl_cli.rundir import prepare

JOB = parse_job(
    {
        "metadata": {"name": "a"},
        "spec": {
            "model": {"uri": "tiny://llama"},
            "data": {
                "train": [{"name": "a", "domain": "math", "uri": "file:///a.jsonl"}],
            },
        },
    }
)


def uid_after(directory: Path, *, fresh: bool = False) -> str:
    os.close(prepare(directory, JOB, fresh=fresh))
    uid: str = json.loads((directory / "job.json").read_text())["uid"]
    return uid


def test_a_resumed_run_keeps_its_id_and_a_fresh_one_gets_another(tmp_path: Path) -> None:
    first = uid_after(tmp_path / "run")
    assert uid_after(tmp_path / "run") == first
    assert uid_after(tmp_path / "run", fresh=True) != first
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    second = json.loads((moved / "job.json").read_text())["uid"]
    assert uid_after(moved) == second
