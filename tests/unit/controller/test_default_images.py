"""Which image a pod has."""

import pytest
from controller_builders import IMAGE, NOW, make_job
from prorl_operator.plan.actions import CreatePod
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.plan import make_plan


@pytest.mark.parametrize(
    ("own", "smaller", "verifier", "trainer"),
    [
        (None, "", IMAGE, IMAGE),
        (None, "small:1", "small:1", IMAGE),
        ("mine:2", "small:1", "mine:2", "mine:2"),
    ],
)
def test_verifiers_have_the_smaller_image_unless_the_job_names_one(
    own: str | None, smaller: str, verifier: str, trainer: str
) -> None:
    """A job's image may hold custom verifiers."""
    job = make_job(image=own)
    seen = Observed(job=job, default_image=IMAGE, default_verifier_image=smaller)
    manifests = [one.manifest for one in make_plan(seen, NOW).actions if isinstance(one, CreatePod)]
    images = {one["metadata"]["name"]: one["spec"]["containers"][0]["image"] for one in manifests}
    assert (images["q-verifier-0-1"], images["q-trainer-0-1"]) == (verifier, trainer)
