"""When a checkpoint is due: pure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifests import manifest
from prorl_api.job import ProRLJobSpec, parse_job
from prorl_trainer.checkpoint.state import ReferenceState, RunState
from prorl_trainer.due import checkpoint_due


def spec_of(**checkpoint: Any) -> ProRLJobSpec:
    return parse_job(manifest(checkpoint={"everySteps": 10} | checkpoint)).spec


def state_of(step: int, **fields: Any) -> RunState:
    return RunState(job_uid="u", job_name="j", spec_hash="h", step=step, **fields)


@pytest.mark.parametrize(
    ("every_s", "age_s", "due"),
    [(None, 1e9, False), (60, 59.9, False), (60, 60.0, True), (60, 61.0, True)],
)
def test_a_checkpoint_is_due_when_the_last_one_is_old(
    every_s: int | None, age_s: float, due: bool
) -> None:
    assert checkpoint_due(spec_of(everySeconds=every_s), state_of(3), age_s) is due


@given(step=st.integers(1, 40), age_s=st.floats(0, 1e6))
def test_whichever_comes_first_is_what_counts(step: int, age_s: float) -> None:
    either = checkpoint_due(spec_of(), state_of(step), age_s) or age_s >= 60
    assert checkpoint_due(spec_of(everySeconds=60), state_of(step), age_s) == either


def test_a_reset_is_saved_however_young_the_last_checkpoint_is() -> None:
    state = state_of(3, reference=ReferenceState(version=1, last_reset_step=3))
    assert checkpoint_due(spec_of(everySeconds=60), state, 0.0)
