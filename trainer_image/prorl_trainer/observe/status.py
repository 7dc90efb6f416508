"""The status document, kept up to date by the coordinator and served by the API."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prorl_api.status import CheckpointStatus, ExportStatus, GuardStatus, Progress, ReferenceStatus
from prorl_api.wire import MAX_STATUS_MESSAGE as MAX_MESSAGE
from prorl_api.wire import RoleCount, Stage, StatusDocument


class StatusHolder:
    """Holds the newest wire.StatusDocument. Used from one event loop only."""

    def __init__(self, document: StatusDocument) -> None:
        self._document = document

    def document(self) -> StatusDocument:
        """The newest status."""
        return self._document

    def stage(self, stage: Stage, message: str = "") -> None:
        """What is being done, in one sentence for people."""
        self._set(stage=stage, message=message[:MAX_MESSAGE])

    def message(self, message: str) -> None:
        """What is being waited for."""
        self._set(message=message[:MAX_MESSAGE])

    @contextmanager
    def waiting(self, message: str) -> Iterator[None]:
        """Meanwhile this is waited for."""
        before = self._document.message
        self.message(message)
        try:
            yield
        finally:
            if self._document.message == message[:MAX_MESSAGE]:
                self.message(before)

    def attempt(self, attempt: int) -> None:
        """The store has been claimed for this attempt."""
        self._set(attempt=attempt)

    def progress(self, progress: Progress) -> None:
        """After a step or an evaluation."""
        self._set(progress=progress)

    def checkpoint(self, checkpoint: CheckpointStatus) -> None:
        """After a commit."""
        self._set(checkpoint=checkpoint)

    def reference(self, reference: ReferenceStatus) -> None:
        """After a reset."""
        self._set(reference=reference)

    def exported(self, export: ExportStatus) -> None:
        """The model is at its place."""
        self._set(export=export)

    def export_failed(self, why: str) -> None:
        """The run has no export although it asked for one."""
        self._set(export_failure=why[:MAX_MESSAGE])

    def guard(self, guard: GuardStatus | None) -> None:
        """After a rule of spec.guard was acted on."""
        self._set(guard=guard)

    def generation(self, generation: int) -> None:
        """The run goes on by the spec of this generation."""
        self._set(generation=generation)

    def trainers(self, usable: int) -> None:
        """Learner ranks that can be used now."""
        self._set(trainers=RoleCount(wanted=self._document.trainers.wanted, usable=usable))

    def engines(self, usable: int) -> None:
        """Engines that can be used now."""
        self._set(engines=RoleCount(wanted=self._document.engines.wanted, usable=usable))

    def learner_restarted(self) -> None:
        """The learner group is being rebuilt."""
        self._set(learner_restarts=self._document.learner_restarts + 1)

    def _set(self, **values: Any) -> None:
        self._document = self._document.model_copy(update=values)
