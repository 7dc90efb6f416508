"""What the end of a pod means."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from prorl_api.exit_codes import Action, ExitCode, default_action
from prorl_api.spec_failure import FailureAction, FailureRule
from prorl_api.spec_roles import Role

from prorl_operator.build.ledger import BOUNDED, Cause, Fault
from prorl_operator.plan.disruption import OWN_LIMIT, Disruption
from prorl_operator.plan.last_word import parse_termination
from prorl_operator.plan.observed import Observed, PodView
from prorl_operator.plan.rules import find_rule


class End(Enum):
    """Meaning of an ended pod."""

    COMPLETE = auto()
    """The coordinator is done: so is the job."""
    FAIL_JOB = auto()
    """Repeating it cannot help."""
    COUNTED = auto()
    """A failure; the pod is replaced after a while."""
    UNCOUNTED = auto()
    """An end that is nobody's fault; the pod is replaced."""
    DISRUPTED = auto()
    """Something outside the job took it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFailure:
    """Why the job has failed."""

    reason: str
    message: str


def classify_end(pod: PodView, rules: Sequence[FailureRule]) -> End:
    """`pod` has ended, or is taken. SIGTERM makes Ray exit with code 1, so a pod told to go never
    failed."""
    if pod.slot.role is Role.COORDINATOR and pod.exit_code == ExitCode.SUCCEEDED:
        return End.COMPLETE
    disruption = find_pod_disruption(pod)
    rule = find_rule(pod, disruption, rules)
    if rule is not None and rule.action is FailureAction.FAIL_JOB:
        return End.FAIL_JOB
    if disruption is not None:
        return End.DISRUPTED
    if rule is not None:
        return End.COUNTED if rule.counts else End.UNCOUNTED
    return _default_end(pod)


def _default_end(pod: PodView) -> End:
    if pod.exit_code is None or pod.exit_reason == OWN_LIMIT:
        return End.COUNTED  # over a limit of its own, however peacefully it went when told so
    if pod.slot.role is not Role.COORDINATOR:
        peaceful = pod.exit_code in (ExitCode.SUCCEEDED, ExitCode.STOPPED)
        return End.UNCOUNTED if peaceful else End.COUNTED
    ends = {Action.FAIL_JOB: End.FAIL_JOB, Action.RESTART: End.COUNTED}
    return ends.get(default_action(pod.exit_code), End.UNCOUNTED)


def find_pod_disruption(pod: PodView) -> Disruption | None:
    """What takes or has taken the pod; None: nothing, or its end was its own doing."""
    if pod.disruption is not None:
        return pod.disruption
    if pod.leaving and not _ended_before_told(pod):
        return Disruption.DELETED
    refused = pod.ended and pod.exit_code is None and pod.exit_reason != OWN_LIMIT
    return Disruption.REFUSED if refused else None


def _ended_before_told(pod: PodView) -> bool:
    """A finalizer keeps a failed pod that is deleted: it failed all the same."""
    if pod.told_at is None or pod.finished_at is None:
        return False
    return pod.finished_at < pod.told_at


_CAUSES = {End.COUNTED: Cause.FAILURE, End.DISRUPTED: Cause.DISRUPTION}


def fault_of(pod: PodView, rules: Sequence[FailureRule], now: datetime) -> Fault:
    """`pod` has ended or is leaving. `now` stands for a moment that nobody has noted."""
    disruption = find_pod_disruption(pod)
    if disruption is Disruption.DELETED:
        cause = Cause.DELETION
    elif disruption is not None:
        cause = Cause.DISRUPTION
    else:
        cause = _CAUSES.get(classify_end(pod, rules), Cause.END)
    told = pod.told_at if disruption is not None else None
    at = told or pod.finished_at or now
    return Fault(role=pod.slot.role, cause=cause, at=at, pod_since=pod.created_at)


def waiting_failures(observed: Observed) -> list[PodView]:
    """Ended pods of coordinator and trainer that have no replacement yet."""
    return [pod for pod in observed.lost_pods() if pod.slot.role in BOUNDED and pod.ended]


def describe_end(pod: PodView) -> str:
    """One or two sentences: which pod, which code, and its own words."""
    return f"Pod {pod.name} {how_it_ended(pod)}"


def how_it_ended(pod: PodView) -> str:
    """The same without the pod's name."""
    disruption = find_pod_disruption(pod)
    if disruption is Disruption.DELETED:
        return "was deleted"
    if disruption is not None:
        said = pod.exit_reason if disruption is Disruption.REFUSED else ""
        return f"was disrupted ({': '.join(part for part in (disruption, said) if part)})"
    word = parse_termination(pod)
    reason = OWN_LIMIT if pod.exit_reason == OWN_LIMIT else word.reason
    words = " ".join(part for part in (f"({reason}).", word.message) if part)
    code = "without an exit code" if pod.exit_code is None else f"with exit code {pod.exit_code}"
    return f"ended {code} {words}"
