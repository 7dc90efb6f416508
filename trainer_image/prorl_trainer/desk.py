"""What a session is given: all made before anything slow starts."""

from dataclasses import dataclass, replace

from prorl_api.job import ProRLJobSpec

from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.context import Context
from prorl_trainer.control import Control
from prorl_trainer.journal.journal import Journal
from prorl_trainer.observe.metrics import Metrics
from prorl_trainer.observe.status import StatusHolder


@dataclass(kw_only=True, slots=True)
class Desk:
    """What a session is given: all made before anything slow starts."""

    context: Context
    store: CheckpointStore
    journal: Journal
    control: Control
    metrics: Metrics
    status: StatusHolder

    @property
    def attempt(self) -> int:
        """Its number, as the operator counts; 0 where only the claim of the store will tell."""
        return self.status.document().attempt

    def report_trainers(self, usable: int) -> None:
        """So many learner ranks can be used now."""
        self.status.trainers(usable)
        self.metrics.record({"trainers_usable": usable})

    def live_spec(self) -> ProRLJobSpec:
        """The spec with what was changed while the run goes on, which is in force from now on."""
        live, job = self.control.live, self.context.job
        if live is not None and live.generation > job.generation:
            update = {"spec": live.over(job.spec), "generation": live.generation}
            self.context = replace(self.context, job=job.model_copy(update=update))
            self.store.keep = live.checkpoint.keep
            self.status.generation(live.generation)
        return self.context.job.spec
