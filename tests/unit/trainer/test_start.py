"""How the parts of a session are made."""

from pathlib import Path

import pytest
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_lifecycle import Resume
from prorl_api.wire import JobDocument
from prorl_trainer.context import Context
from prorl_trainer.start import resume_of

TRAIN = {"name": "sums", "domain": "math", "uri": "gym://reasoning-gym/chain_sum"}


def make_context(*, attempt: int | None, resume: Resume) -> Context:
    spec = ProRLJobSpec.model_validate(
        {
            "model": {"uri": "tiny://llama"},
            "data": {"train": [TRAIN]},
            "checkpoint": {"resume": resume},
        }
    )
    return Context(
        local=attempt is None, attempt=attempt, directory=Path(), host="", port=0, node_ip="",
        job=JobDocument(name="j", namespace="n", uid="u", spec=spec, hash="h"),
        api_token="", ray_token="", verifier_token="", verifier_url=None, termination_file=Path(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attempt", "resume", "expected"),
    [
        (None, Resume.NONE, Resume.NONE),
        (1, Resume.NONE, Resume.NONE),
        (2, Resume.NONE, Resume.LATEST),
        (1, Resume.LATEST, Resume.LATEST),
    ],
)
def test_a_job_that_starts_afresh_resumes_when_its_coordinator_is_replaced(
    attempt: int | None, resume: Resume, expected: Resume
) -> None:
    assert resume_of(make_context(attempt=attempt, resume=resume)) is expected
