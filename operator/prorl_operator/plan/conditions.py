"""Conditions: constant reasons, full sentences with the number that mattered."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from prorl_api.spec_roles import Role
from prorl_api.status import Condition, ConditionType, Phase, ProRLJobStatus, Roles
from prorl_api.wire import Stage, StatusDocument

from prorl_operator.plan.blockers import Blocked
from prorl_operator.plan.failure import JobFailure
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.progress import Training, timestamp

MESSAGE_LIMIT = 4096


class Reason(StrEnum):
    """Reasons of conditions; refusals and blockers add their own."""

    ALL_READY = "AllReady"
    PODS_NOT_READY = "PodsNotReady"
    FINISHED = "Finished"
    TRAINING = "Training"
    SAVING = "Saving"
    PAUSED = "Paused"
    WAITING_FOR_ENGINES = "WaitingForEngines"
    STARTING = "Starting"
    WAITING_FOR_PODS = "WaitingForPods"
    RECOVERING = "Recovering"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    RESUMING = "Resuming"
    RESUMED = "Resumed"
    SAVED = "Saved"
    NO_CHECKPOINT = "NoCheckpoint"
    FULL_STRENGTH = "FullStrength"
    ROLES_REDUCED = "RolesReduced"
    ALL_STEPS_DONE = "AllStepsDone"
    EXPORT_WRITTEN = "ExportWritten"
    EXPORT_FAILED = "ExportFailed"
    NO_STEP_FINISHED = "NoStepFinished"
    MOVING = "Moving"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A condition without its bookkeeping."""

    type: ConditionType
    status: bool
    reason: str
    message: str


def roles_ready(roles: Roles, blocked: Blocked | None) -> Verdict:
    """All pods that the spec asks for are ready."""
    if blocked is not None:
        return _verdict(ConditionType.ROLES_READY, False, blocked.reason, blocked.message)
    lacking = [(role, getattr(roles, role.value)) for role in Role]
    lacking = [(role, one) for role, one in lacking if one.ready < one.desired]
    if lacking:
        text = ", ".join(f"{one.ready} of {one.desired} {role}" for role, one in lacking)
        message = f"Pods are not ready yet: {text} ready."
        return _verdict(ConditionType.ROLES_READY, False, Reason.PODS_NOT_READY, message)
    total = sum(getattr(roles, role.value).desired for role in Role)
    message = f"All {total} pods are ready."
    return _verdict(ConditionType.ROLES_READY, True, Reason.ALL_READY, message)


def progressing(observed: Observed, phase: Phase, training: Training, wait: str) -> Verdict:
    """Steps are being made. `wait` says what a replacement waits for, or nothing."""
    document = observed.live_document
    said = document.message if document else ""
    kind = ConditionType.PROGRESSING
    if phase is Phase.RUNNING and document and document.stage is Stage.PAUSED:
        return _verdict(kind, False, Reason.PAUSED, f"{_steps_done(training)} {said}")
    lack = _lacking_engines(observed, document)
    if phase is Phase.RUNNING and lack:
        return _verdict(kind, False, Reason.WAITING_FOR_ENGINES, f"{_steps_done(training)} {lack}")
    if phase is Phase.RUNNING:
        reason = Reason.SAVING if document and document.stage is Stage.SAVING else Reason.TRAINING
        return _verdict(kind, True, reason, f"{_steps_done(training)} {said}".rstrip())
    if phase is Phase.PENDING:
        return _verdict(kind, False, Reason.WAITING_FOR_PODS, "The coordinator is not running yet.")
    if phase is Phase.STARTING:
        return _verdict(kind, False, Reason.STARTING, said or "The coordinator is starting.")
    parts = [_steps_done(training), wait or said or "The coordinator is being replaced."]
    return _verdict(kind, False, Reason.RECOVERING, " ".join(parts))


def _lacking_engines(observed: Observed, document: StatusDocument | None) -> str:
    """Why a run that trains cannot generate; nothing where it can."""
    least = observed.job.spec.rollout.min_replicas
    if document is None or document.stage is not Stage.TRAINING or document.engines.usable >= least:
        return ""
    return (
        f"Generation waits: {document.engines.usable} engines can be used, and "
        f"spec.rollout.minReplicas is {least}."
    )


def checkpointed(training: Training) -> Verdict:
    """There is a durable checkpoint."""
    saved = training.checkpoint
    if saved is None:
        message = "No checkpoint is durable yet."
        return _verdict(ConditionType.CHECKPOINTED, False, Reason.NO_CHECKPOINT, message)
    message = f"The checkpoint of step {saved.last_step} is durable at {saved.uri}."
    return _verdict(ConditionType.CHECKPOINTED, True, Reason.SAVED, message)


def degraded(roles: Roles, phase: Phase, min_engines: int) -> Verdict:
    """The job trains, or waits, with fewer engines or verifiers than it should have."""
    kind = ConditionType.DEGRADED
    helpers = (("rollout", roles.rollout), ("verifier", roles.verifier))
    lacking = [(role, one) for role, one in helpers if one.ready < one.desired]
    if phase is not Phase.RUNNING or not lacking:
        return _verdict(kind, False, Reason.FULL_STRENGTH, "No role is reduced.")
    parts = [
        f"{one.ready} of {one.desired} {role} pods are ready ({one.failed} failed so far)"
        for role, one in lacking
    ]
    goes_on = roles.rollout.ready >= min_engines
    how = "Training goes on" if goes_on else "Generation waits for engines"
    return _verdict(kind, True, Reason.ROLES_REDUCED, f"{how}: " + ", ".join(parts) + ".")


def exported(training: Training) -> Verdict:
    """A job that has ended well has left the model that it was asked for."""
    kind, found = ConditionType.EXPORTED, training.export
    if found is None:
        why = training.export_failure or "The coordinator has not said why."
        message = f"{why} The checkpoints are whole: `prorl export` repeats it."
        return _verdict(kind, False, Reason.EXPORT_FAILED, message)
    message = f"The model of step {found.step} is at {found.uri}."
    return _verdict(kind, True, Reason.EXPORT_WRITTEN, message)


def completed(training: Training) -> Verdict:
    """The job has ended well."""
    return _verdict(ConditionType.COMPLETED, True, Reason.ALL_STEPS_DONE, _steps_done(training))


def failed(failure: JobFailure) -> Verdict:
    """The job has failed for good."""
    return _verdict(ConditionType.FAILED, True, failure.reason, failure.message)


def finished_verdicts(kind: ConditionType) -> Verdict:
    """What RolesReady, Progressing and Degraded say once the job has ended."""
    return _verdict(kind, False, Reason.FINISHED, "The job has ended.")


def while_suspended(observed: Observed, phase: Phase, training: Training) -> list[Verdict]:
    """Of a job whose pods go or have gone because spec.suspend asks for it."""
    reason, message = Reason.SUSPENDED, f"The job has no pods. {_steps_done(training)}"
    if phase is Phase.SUSPENDING:
        reason = Reason.SUSPENDING
        document = observed.live_document
        said = document.message if document else ""
        message = f"{len(observed.pods)} pods are still there. {said or _steps_done(training)}"
    live = (ConditionType.ROLES_READY, ConditionType.PROGRESSING, ConditionType.DEGRADED)
    return [
        *(_verdict(kind, False, reason, message) for kind in live),
        checkpointed(training),
        _verdict(ConditionType.SUSPENDED, phase is Phase.SUSPENDED, reason, message),
    ]


def resumed(observed: Observed, num_missing: int) -> list[Verdict]:
    """Nothing where there never was a suspension; it is over when every slot has a pod again."""
    kind = ConditionType.SUSPENDED
    if observed.suspended_before is None:
        return []
    if observed.resuming and num_missing:
        message = f"{num_missing} pods are still to be made."
        return [_verdict(kind, True, Reason.RESUMING, message)]
    return [_verdict(kind, False, Reason.RESUMED, "The job has its pods again.")]


def settle(
    verdicts: Iterable[Verdict], stored: ProRLJobStatus | None, generation: int, now: datetime
) -> list[Condition]:
    """Verdicts as conditions; the transition time changes only with the status."""
    before = {c.type: c for c in stored.conditions} if stored else {}
    return [_condition(v, before.get(v.type), generation, now) for v in verdicts]


def _condition(
    verdict: Verdict, before: Condition | None, generation: int, now: datetime
) -> Condition:
    same = before is not None and (before.status == "True") is verdict.status
    return Condition(
        type=verdict.type,
        status="True" if verdict.status else "False",
        reason=verdict.reason,
        message=verdict.message[:MESSAGE_LIMIT],
        last_transition_time=before.last_transition_time if same and before else timestamp(now),
        observed_generation=generation,
    )


def _steps_done(training: Training) -> str:
    progress = training.progress
    if progress is None:
        return "No step is done yet."
    return f"{progress.step} of {progress.total_steps} steps are done."


def _verdict(kind: ConditionType, status: bool, reason: str, message: str) -> Verdict:
    return Verdict(type=kind, status=status, reason=reason, message=message)
