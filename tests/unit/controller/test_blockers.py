"""Why pods cannot start, in words that name what has to be changed."""

import pytest
from controller_builders import (
    COORDINATOR,
    ROLLOUT,
    TRAINER,
    VERIFIER,
    ago,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
)
from prorl_operator.plan.blockers import find_blocker
from prorl_operator.plan.observed import PodView, Problem


def held(**values: object) -> PodView:
    return make_pod_view(TRAINER, phase="Pending", ready=False, **values)


PULL = 'Pod q-trainer-0-1 cannot pull image "registry.example/trainer:1": no such host'
CLAIM = 'persistentvolumeclaim "q-checkpoints" not found'


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_is_named(reason: str) -> None:
    pod = held(waiting_reason=reason, waiting_message="no such host")
    blocked = find_blocker(make_observed(pod))
    assert blocked is not None
    assert (blocked.reason, blocked.message) == ("ImagePullFailed", PULL)


def test_the_jobs_own_image_is_the_one_that_is_named() -> None:
    pod = held(waiting_reason="ErrImagePull")
    blocked = find_blocker(make_observed(pod, job=make_job(image="mine:2")))
    assert blocked is not None
    assert 'image "mine:2"' in blocked.message


@pytest.mark.parametrize(
    ("pod", "reason", "message"),
    [
        (held(waiting_reason="CreateContainerConfigError", waiting_message="no secret"),
         "ContainerConfigFailed", "Pod q-trainer-0-1 cannot start its container: no secret"),
        (held(waiting_reason="CreateContainerError", waiting_message="no python"),
         "ContainerConfigFailed", "Pod q-trainer-0-1 cannot start its container: no python"),
        (held(unschedulable=CLAIM), "ClaimMissing",
         f"Pod q-trainer-0-1 cannot be scheduled: {CLAIM}"),
        (held(unschedulable="0/3 nodes have nvidia.com/gpu"), "Unschedulable",
         "Pod q-trainer-0-1 cannot be scheduled: 0/3 nodes have nvidia.com/gpu"),
    ],
    ids=["config", "container", "claim", "no node"],
)  # fmt: skip
def test_a_pod_that_waits_for_a_person_is_named(pod: PodView, reason: str, message: str) -> None:
    blocked = find_blocker(make_observed(pod))
    assert blocked is not None
    assert (blocked.reason, blocked.message) == (reason, message)


@pytest.mark.parametrize(
    "pod",
    [
        make_pod_view(),
        held(),
        held(waiting_reason="ContainerCreating"),
        held(waiting_reason="PodInitializing"),
        held(waiting_reason="ErrImagePull", deletion_at=ago(-30)),
        make_ended(waiting_reason="ErrImagePull"),
    ],
    ids=["runs", "pending", "creating", "initializing", "leaving", "ended"],
)
def test_a_pod_that_only_takes_its_time_blocks_nothing(pod: PodView) -> None:
    assert find_blocker(make_observed(pod)) is None


def test_the_api_servers_refusals_come_first_then_pods_by_name() -> None:
    pods = [
        make_pod_view(slot, phase="Pending", unschedulable="no node")
        for slot in (VERIFIER, TRAINER, ROLLOUT)
    ]
    blocked = find_blocker(make_observed(*pods))
    assert blocked is not None
    assert "q-rollout-0-1" in blocked.message
    quota = Problem(reason="RefusedByApiServer", message="exceeded quota")
    last = Problem(reason="NameConflict", message="foreign")
    blocked = find_blocker(make_observed(*pods, problems=(quota, last)))
    assert blocked is not None
    assert (blocked.reason, blocked.message) == ("RefusedByApiServer", "exceeded quota")


def test_a_coordinator_that_refuses_our_token_says_how_to_give_it_one() -> None:
    blocked = find_blocker(make_observed(token_refused=True))
    assert blocked is not None
    assert blocked.reason == "TokenRefused"
    assert "q-coordinator-0-1 refuses the operator's token" in blocked.message
    assert "delete the job's pods" in blocked.message
    ended = make_ended(COORDINATOR)
    assert find_blocker(make_observed(ended, token_refused=True)) is None
