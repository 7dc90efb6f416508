"""Kills at system calls of a commit and damaged checkpoints: a sample of the full counts, which
the two programs give without arguments (docs/reliability.md)."""

import os
import shutil

import checkpoint_damage
import checkpoint_killer
import pytest


def test_a_sample_of_damaged_checkpoints_never_loads_and_always_falls_back() -> None:
    found = checkpoint_damage.run(300, seed=7)
    assert found["bad loads"] == 0
    assert found["fell back"] == 300


def test_a_commit_killed_at_a_system_call_leaves_the_previous_or_the_new_checkpoint() -> None:
    if shutil.which("strace") is None or os.geteuid() != 0:
        assert not os.environ.get("CI"), "needs strace and root"
        pytest.skip("needs strace and root")
    found = checkpoint_killer.run(every=4)
    assert found["killed"] >= 8
    assert (found["not killed"], found["neither"]) == (0, 0)
    assert found["previous"] > 0
    assert found["new"] > 0
