"""The whole status as one value, from observation alone."""

from datetime import datetime

from prorl_api.spec_roles import Role
from prorl_api.status import ConditionType, Phase, ProRLJobStatus, Roles, RoleStatus
from prorl_api.wire import Stage

from prorl_operator.build import names
from prorl_operator.build.config import replicas, slots
from prorl_operator.build.names import Slot
from prorl_operator.plan import conditions
from prorl_operator.plan.blockers import find_blocker
from prorl_operator.plan.commands import with_observed_tokens
from prorl_operator.plan.conditions import Verdict
from prorl_operator.plan.deadlines import pending_since
from prorl_operator.plan.failure import JobFailure, describe_end, waiting_failures
from prorl_operator.plan.interruption import disrupted, stalled
from prorl_operator.plan.job_failure import find_job_failure
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.progress import Training, derive_training, timestamp
from prorl_operator.plan.situation import Situation
from prorl_operator.plan.suspend import began_at


def derive_status(observed: Observed, situation: Situation, now: datetime) -> ProRLJobStatus:
    """Same observation, same status: nothing in it depends on how the job got here."""
    if situation is Situation.FINISHED:
        assert observed.stored is not None
        generation = observed.job.metadata.generation
        return observed.stored.model_copy(update={"observed_generation": generation})
    training = with_observed_tokens(derive_training(observed, now), observed)
    phase = derive_phase(observed, situation, training)
    ended = phase in (Phase.SUCCEEDED, Phase.FAILED)
    roles = derive_roles(observed, none_wanted=ended or phase is Phase.SUSPENDED)
    if ended:
        failure = find_job_failure(observed, now) if situation is Situation.FAILED else None
        verdicts = _final_verdicts(observed, training, failure)
    elif situation is Situation.ACTIVE:
        verdicts = _active_verdicts(observed, phase, roles, now)
    else:
        verdicts = conditions.while_suspended(observed, phase, training)
    stored, ledger, generation = observed.stored, observed.ledger, observed.job.metadata.generation
    return ProRLJobStatus(
        observed_generation=generation,
        applied_generation=_applied_generation(observed),
        phase=phase,
        conditions=conditions.settle(verdicts, stored, generation, now),
        attempt=observed.attempt,
        restarts=ledger.restarts,
        restarts_counted=ledger.counted,
        disruptions=ledger.disruptions,
        pending_since=pending_since(observed, now) if situation is Situation.ACTIVE else None,
        suspending_since=(began_at(observed, now) if situation is Situation.SUSPENDING else None),
        start_time=_start_time(observed),
        completion_time=_completion_time(observed, now) if ended else None,
        roles=roles,
        progress=training.progress,
        checkpoint=training.checkpoint,
        reference=training.reference,
        export=training.export,
        guard=training.guard,
    )


_PHASE_OF = {
    Situation.SUCCEEDED: Phase.SUCCEEDED,
    Situation.FAILED: Phase.FAILED,
    Situation.SUSPENDING: Phase.SUSPENDING,
    Situation.SUSPENDED: Phase.SUSPENDED,
}


def derive_phase(observed: Observed, situation: Situation, training: Training) -> Phase:
    """A summary for people; decisions never depend on it."""
    if situation in _PHASE_OF:
        return _PHASE_OF[situation]
    pod = observed.coordinator
    if pod is None or not pod.running:
        return Phase.RECOVERING if _start_time(observed) else Phase.PENDING
    document = observed.live_document
    if document is None:
        return _silent_phase(observed)
    if document.stage in (Stage.STARTING, Stage.RECOVERING):
        again = pod.incarnation > 1 or (training.progress is not None and training.progress.step)
        return Phase.RECOVERING if again else Phase.STARTING
    return Phase.RUNNING


def _silent_phase(observed: Observed) -> Phase:
    """The coordinator runs but has not been heard: what was known of this very one stands."""
    pod, stored = observed.coordinator, observed.stored
    assert pod is not None
    if stored is not None and stored.attempt == pod.incarnation and stored.phase is Phase.RUNNING:
        return Phase.RUNNING
    return Phase.RECOVERING if pod.incarnation > 1 else Phase.STARTING


def derive_roles(observed: Observed, *, none_wanted: bool) -> Roles:
    """Pods per role; one that has ended or is suspended wants none."""
    return Roles(
        **{role.value: _role_status(observed, role, none_wanted=none_wanted) for role in Role}
    )


def _role_status(observed: Observed, role: Role, *, none_wanted: bool) -> RoleStatus:
    desired = 0 if none_wanted else replicas(observed.job.spec, role)
    pods = [observed.newest(Slot(role=role, index=i)) for i in range(desired)]
    selector = names.role_selector_text(observed.job.metadata.name, role)
    return RoleStatus(
        desired=desired,
        ready=sum(1 for pod in pods if pod is not None and pod.ready and not pod.leaving),
        failed=observed.ledger.failed.get(role, 0),
        selector=selector if role is Role.ROLLOUT else None,
    )


def _active_verdicts(
    observed: Observed, phase: Phase, roles: Roles, now: datetime
) -> list[Verdict]:
    training = derive_training(observed, now)
    return [
        conditions.roles_ready(roles, find_blocker(observed)),
        conditions.progressing(observed, phase, training, _what_is_waited_for(observed)),
        conditions.checkpointed(training),
        conditions.degraded(roles, phase, observed.job.spec.rollout.min_replicas),
        *stalled(observed, now),
        *disrupted(observed, phase, roles, now),
        *conditions.resumed(observed, _missing_pods(observed)),
    ]


def _final_verdicts(
    observed: Observed, training: Training, failure: JobFailure | None
) -> list[Verdict]:
    live = (ConditionType.ROLES_READY, ConditionType.PROGRESSING, ConditionType.DEGRADED)
    verdicts = [conditions.finished_verdicts(kind) for kind in live]
    verdicts.append(conditions.checkpointed(training))
    if failure is not None:
        return [*verdicts, conditions.failed(failure)]
    if observed.job.spec.export is not None:
        verdicts.append(conditions.exported(training))
    return [*verdicts, conditions.completed(training)]


def _missing_pods(observed: Observed) -> int:
    return sum(observed.newest(slot) is None for slot in slots(observed.job.spec))


def _what_is_waited_for(observed: Observed) -> str:
    failures = waiting_failures(observed)
    return describe_end(failures[0]) if failures else ""


def _applied_generation(observed: Observed) -> int:
    if observed.live_document is not None:
        return observed.live_document.generation
    return observed.stored.applied_generation if observed.stored else 0


def _start_time(observed: Observed) -> str | None:
    if observed.stored is not None and observed.stored.start_time is not None:
        return observed.stored.start_time
    pod = observed.coordinator
    return timestamp(pod.started_at) if pod is not None and pod.started_at is not None else None


def _completion_time(observed: Observed, now: datetime) -> str:
    pod = observed.coordinator
    return timestamp(pod.finished_at if pod is not None and pod.finished_at else now)
