"""Progress, checkpoint and reference in status: from the coordinator's words, never backwards
while nobody can be asked."""

from dataclasses import dataclass, replace
from datetime import datetime

from prorl_api.status import (
    CheckpointStatus,
    ExportStatus,
    GuardStatus,
    Progress,
    ProRLJobStatus,
    ReferenceStatus,
)
from prorl_api.wire import Stage, StatusDocument, TerminationMessage

from prorl_operator.plan.last_word import parse_termination
from prorl_operator.plan.observed import Observed


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What is known of the training itself."""

    progress: Progress | None
    checkpoint: CheckpointStatus | None
    reference: ReferenceStatus | None
    export: ExportStatus | None = None
    export_failure: str = ""
    """Why there is none although the job asked for one."""
    guard: GuardStatus | None = None


def derive_training(observed: Observed, now: datetime) -> Training:
    """The newest trustworthy words."""
    known = _stored(observed.stored)
    if observed.live_document is not None:
        known = _with_document(known, observed.live_document)
    pod = observed.coordinator
    if pod is not None and pod.ended and pod.exit_message:
        known = _with_final_word(known, parse_termination(pod), observed, pod.finished_at or now)
    return known


def timestamp(moment: datetime) -> str:
    """RFC 3339 in whole seconds, UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _stored(stored: ProRLJobStatus | None) -> Training:
    if stored is None:
        return Training(progress=None, checkpoint=None, reference=None)
    return Training(
        progress=stored.progress,
        checkpoint=stored.checkpoint,
        reference=stored.reference,
        export=stored.export,
        guard=stored.guard,
    )


def _with_document(known: Training, document: StatusDocument) -> Training:
    """A coordinator that is starting has not loaded its checkpoint yet: its zeros mean nothing.
    Once it trains its word counts, even if it went back to a checkpoint."""
    if document.stage is Stage.STARTING:
        old = known.progress
        return Training(
            progress=document.progress if old is None or not old.step else old,
            checkpoint=known.checkpoint or document.checkpoint,
            reference=known.reference or document.reference,
            export=known.export or document.export,
            guard=known.guard or document.guard,
        )
    return Training(
        progress=document.progress,
        checkpoint=document.checkpoint or known.checkpoint,
        reference=document.reference,
        export=document.export or known.export,
        export_failure=document.export_failure,
        guard=document.guard or known.guard,
    )


def _with_final_word(
    known: Training, word: TerminationMessage, observed: Observed, at: datetime
) -> Training:
    progress = known.progress or Progress(total_steps=observed.job.spec.algorithm.steps)
    if word.step >= progress.step:
        progress = progress.model_copy(
            update={
                "step": word.step,
                "reward_mean": _either(word.reward_mean, progress.reward_mean),
                "accuracy": _either(word.accuracy, progress.accuracy),
            }
        )
    checkpoint = _final_checkpoint(known.checkpoint, word, observed, at)
    return replace(
        known,
        progress=progress,
        checkpoint=checkpoint,
        export=word.export or known.export,
        export_failure=word.export_failure,
    )


def _either(new: float | None, old: float | None) -> float | None:
    return old if new is None else new


def _final_checkpoint(
    known: CheckpointStatus | None, word: TerminationMessage, observed: Observed, at: datetime
) -> CheckpointStatus | None:
    step = word.checkpoint_step
    if step is None or (known is not None and step <= known.last_step):
        return known
    storage = observed.job.spec.checkpoint.storage
    uri = f"{storage.checkpoints_uri(observed.job.metadata.name)}/step-{step:08d}"
    return CheckpointStatus(
        last_step=step,
        last_time=timestamp(at),
        uri=uri,
        size_bytes=known.size_bytes if known else 0,
    )
