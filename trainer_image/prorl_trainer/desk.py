"""What a session is given: all made before anything slow starts."""

from dataclasses import dataclass

from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.context import Context
from prorl_trainer.control import Control
from prorl_trainer.journal.journal import Journal
from prorl_trainer.observe.metrics import Metrics
from prorl_trainer.observe.status import StatusHolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What a session is given: all made before anything slow starts."""

    context: Context
    store: CheckpointStore
    journal: Journal
    attempt: int
    control: Control
    metrics: Metrics
    status: StatusHolder
