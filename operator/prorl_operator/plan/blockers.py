"""Why pods cannot start, in words that name what has to be changed."""

from dataclasses import dataclass
from enum import StrEnum

from prorl_operator.plan.observed import Observed, PodView


class Blocker(StrEnum):
    """Reasons of RolesReady=False that wait for a person."""

    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_FAILED = "ContainerConfigFailed"
    CLAIM_MISSING = "ClaimMissing"
    UNSCHEDULABLE = "Unschedulable"
    TOKEN_REFUSED = "TokenRefused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocked:
    """What stands in the way."""

    reason: str
    message: str


IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
CONFIG_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")


def find_blocker(observed: Observed) -> Blocked | None:
    """The API server's refusals first, then pods in the order of their names."""
    for problem in observed.problems:
        return Blocked(reason=problem.reason, message=problem.message)
    for pod in sorted(observed.pods, key=lambda pod: pod.name):
        blocked = None if pod.ended or pod.leaving else _pod_blocker(pod, observed)
        if blocked is not None:
            return blocked
    return _refused(observed)


def _refused(observed: Observed) -> Blocked | None:
    pod = observed.coordinator
    if pod is None or not pod.running or not observed.token_refused:
        return None
    return Blocked(
        reason=Blocker.TOKEN_REFUSED,
        message=(
            f"Pod {pod.name} refuses the operator's token, so its progress cannot be read: it was "
            "started with another Secret, or the operator has another key since. It trains on; "
            "delete the job's pods to give all of them the same token."
        ),
    )


def _pod_blocker(pod: PodView, observed: Observed) -> Blocked | None:
    if pod.waiting_reason in IMAGE_REASONS:
        image = observed.job.spec.image or observed.default_image_of(pod.slot.role)
        return Blocked(
            reason=Blocker.IMAGE_PULL_FAILED,
            message=f'Pod {pod.name} cannot pull image "{image}": {pod.waiting_message}',
        )
    if pod.waiting_reason in CONFIG_REASONS:
        return Blocked(
            reason=Blocker.CONTAINER_CONFIG_FAILED,
            message=f"Pod {pod.name} cannot start its container: {pod.waiting_message}",
        )
    if not pod.unschedulable:
        return None
    claim = "persistentvolumeclaim" in pod.unschedulable
    return Blocked(
        reason=Blocker.CLAIM_MISSING if claim else Blocker.UNSCHEDULABLE,
        message=f"Pod {pod.name} cannot be scheduled: {pod.unschedulable}",
    )
