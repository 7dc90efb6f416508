"""What the planner knows: a snapshot of one job's world."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from prorl_api.job import ProRLJob
from prorl_api.spec_failure import FailureRule
from prorl_api.spec_roles import Role
from prorl_api.status import Condition, ConditionType, ProRLJobStatus
from prorl_api.wire import StatusDocument

from prorl_operator.build.config import slots
from prorl_operator.build.ledger import Ledger, latest
from prorl_operator.build.names import Slot
from prorl_operator.plan.disruption import Disruption

Key = tuple[str, str]
"""Namespace and name of a ProRLJob."""

LOST_AFTER = timedelta(seconds=30)
"""A pod that is still there so long after its grace period has a kubelet that does not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodView:
    """The part of a pod that decisions need."""

    name: str
    uid: str
    owner_uid: str
    slot: Slot
    incarnation: int
    phase: str = "Pending"
    ready: bool = False
    ip: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deletion_at: datetime | None = None
    """When the grace period of a deletion ends; None: nobody has asked for the pod's deletion."""
    told_at: datetime | None = None
    """When it was told to go; None: it was not, or by us a moment ago."""
    node_lost: bool = False
    disruption: Disruption | None = None
    """Preempted, evicted or drained, as the pod's status says."""
    exit_code: int | None = None
    exit_reason: str = ""
    exit_message: str = ""
    """The container's termination message, unparsed."""
    waiting_reason: str = ""
    waiting_message: str = ""
    unschedulable: str = ""
    """The scheduler's message."""
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def ended(self) -> bool:
        """No container of it will ever run again."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def leaving(self) -> bool:
        """Somebody has asked for its deletion."""
        return self.deletion_at is not None

    @property
    def running(self) -> bool:
        """Its containers run and are meant to go on."""
        return self.phase == "Running" and not self.leaving

    def lost(self, now: datetime) -> bool:
        """It is leaving and its node does not answer: nobody will ever see it end."""
        if self.deletion_at is None:
            return False
        return self.node_lost or now > self.deletion_at + LOST_AFTER


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something that only the API server could tell, when the last plan was applied."""

    reason: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """One job, its children, and what its coordinator last said."""

    job: ProRLJob
    """Without its status."""
    stored: ProRLJobStatus | None = None
    pods: tuple[PodView, ...] = ()
    """Those that the job owns, by UID."""
    children: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    """(kind, name) -> manifest of ConfigMaps, Services, NetworkPolicies, budgets and claims."""
    document: StatusDocument | None = None
    token_refused: bool = False
    """The coordinator does not know the operator's token."""
    problems: tuple[Problem, ...] = ()
    settled: bool = False
    """The last look at this spec and these very children found nothing to repair."""
    incarnations: Mapping[Slot, int] = field(default_factory=dict)
    """Highest incarnation that this process has ever seen per slot."""
    tokens_applied: bool = False
    """The job's Secret was applied by this process."""
    tokens_reissued_for: frozenset[str] = frozenset()
    """Pods that seemed to miss the Secret, for which it was applied again."""
    default_image: str = ""
    """Of jobs that name none."""
    default_verifier_image: str = ""
    """Of their verifiers; empty means default_image."""

    def default_image_of(self, role: Role) -> str:
        """Image of the role's pods in a job that names none."""
        smaller = self.default_verifier_image if role is Role.VERIFIER else ""
        return smaller or self.default_image

    @property
    def job_with_status(self) -> ProRLJob:
        """As the API server has it."""
        return self.job.model_copy(update={"status": self.stored})

    def newest(self, slot: Slot) -> PodView | None:
        """The pod with the highest incarnation; older ones of the slot are leftovers."""
        pods = [pod for pod in self.pods if pod.slot == slot]
        return max(pods, key=lambda pod: pod.incarnation, default=None)

    def lost_pods(self) -> list[PodView]:
        """Those that have ended or are leaving, are wanted and have no replacement yet, by name."""
        wanted = set(slots(self.job.spec))
        pods = [p for p in self.pods if (p.ended or p.leaving) and p.slot in wanted]
        return sorted((p for p in pods if p is self.newest(p.slot)), key=lambda pod: pod.name)

    @property
    def coordinator(self) -> PodView | None:
        """The current coordinator pod, running or not."""
        return self.newest(COORDINATOR)

    @property
    def attempt(self) -> int:
        """Highest incarnation of the coordinator that has ever existed; 0: none yet."""
        known = [self.stored.attempt] if self.stored else [0]
        known.append(self.incarnations.get(COORDINATOR, 0))
        return max(known + [pod.incarnation for pod in self.pods if pod.slot == COORDINATOR])

    @property
    def suspending_since(self) -> str | None:
        """When a suspension that still goes on began. It is finished even if the spec has changed
        its mind: a save that somebody waits for is not dropped half-way."""
        return self.stored.suspending_since if self.stored else None

    @property
    def suspension_wanted(self) -> bool:
        """The spec asks for it, or one goes on."""
        return self.job.spec.suspend or self.suspending_since is not None

    @property
    def suspended_before(self) -> Condition | None:
        """What status says of suspension; None: there never was one."""
        return self.said(ConditionType.SUSPENDED)

    def said(self, kind: ConditionType) -> Condition | None:
        """The condition that status has."""
        conditions = self.stored.conditions if self.stored else []
        return next((c for c in conditions if c.type == kind), None)

    @property
    def resuming(self) -> bool:
        """It was suspended and wants its pods again: those that are missing are not lost."""
        before = self.suspended_before
        return before is not None and before.status == "True" and not self.suspension_wanted

    @property
    def rules(self) -> list[FailureRule]:
        """Of spec.failurePolicy."""
        return self.job.spec.failure_policy.rules

    @property
    def ledger(self) -> Ledger:
        """The tally, from status and from the pods that carry a newer one."""
        return latest([_stored_ledger(self.stored), *(pod.ledger for pod in self.pods)])

    @property
    def live_document(self) -> StatusDocument | None:
        """The coordinator's words, unless they are those of an earlier incarnation."""
        pod = self.coordinator
        document = self.document
        if pod is None or document is None or document.attempt != pod.incarnation:
            return None
        return document if document.job_uid == self.job.metadata.uid else None


COORDINATOR = Slot(role=Role.COORDINATOR, index=0)


def _stored_ledger(stored: ProRLJobStatus | None) -> Ledger:
    if stored is None:
        return Ledger()
    failed = {role: getattr(stored.roles, role.value).failed for role in Role}
    return Ledger(
        restarts=stored.restarts,
        counted=stored.restarts_counted,
        disruptions=stored.disruptions,
        failed={role: number for role, number in failed.items() if number},
    )
