"""The export in status: where the model is, or why it is not there."""

from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    make_ended,
    make_job,
    make_observed,
    make_status,
    make_word,
)
from prorl_api.status import ExportStatus, Phase, ProRLJobStatus
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.situation import classify
from prorl_operator.plan.status import derive_status


def status_of(observed: Observed) -> ProRLJobStatus:
    return derive_status(observed, classify(observed, NOW), NOW)


@pytest.mark.parametrize(("word", "said"), [
    ({"export": {"uri": "pvc://m/q", "step": 2000}},
     ("True", "ExportWritten", "The model of step 2000 is at pvc://m/q.")),
    ({"exportFailure": "The disk is full."},
     ("False", "ExportFailed",
      "The disk is full. The checkpoints are whole: `prorl export` repeats it.")),
])  # fmt: skip
def test_a_failed_export_is_a_condition_of_a_job_that_has_succeeded(
    word: dict[str, Any], said: tuple[str, str, str]
) -> None:
    text = make_word(outcome="Succeeded", reason="Succeeded", exitCode=0, step=2000, **word)
    pod = make_ended(COORDINATOR, 0, exit_message=text)
    job = make_job(export={"uri": "pvc://m/q"})
    status = status_of(make_observed(pod, job=job, document=None, stored=make_status()))
    assert status.phase is Phase.SUCCEEDED
    conditions = {c.type: c for c in status.conditions}
    found = conditions["Exported"]
    assert (found.status, found.reason, found.message) == said
    assert "Completed" in conditions
    again = status_of(make_observed(pod, job=make_job(), document=None, stored=make_status()))
    assert "Exported" not in {c.type for c in again.conditions}
    kept = make_observed(pod, job=job, document=None, stored=status)
    assert status_of(kept).export == status.export
    assert status_of(kept).conditions == status.conditions
    if "export" in word:
        assert status.export == ExportStatus(uri="pvc://m/q", step=2000)
