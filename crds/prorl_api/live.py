"""The part of a spec that a running coordinator takes over between two steps."""

from typing import Annotated

from pydantic import Field

from prorl_api.base import ApiModel
from prorl_api.job import ProRLJob, ProRLJobSpec
from prorl_api.spec_guard import GuardSpec
from prorl_api.spec_lifecycle import CheckpointSpec


class LiveSpec(ApiModel):
    """What is changed in a run that goes on."""

    generation: Annotated[int, Field(ge=0)]
    """metadata.generation that it was taken from."""
    steps: int
    """spec.algorithm.steps."""
    checkpoint: CheckpointSpec
    guard: GuardSpec

    def over(self, spec: ProRLJobSpec) -> ProRLJobSpec:
        """The spec with these values."""
        algorithm = spec.algorithm.model_copy(update={"steps": self.steps})
        update = {"algorithm": algorithm, "checkpoint": self.checkpoint, "guard": self.guard}
        return spec.model_copy(update=update)


def live_of(job: ProRLJob) -> LiveSpec:
    """Of the job as it is now."""
    spec = job.spec
    return LiveSpec(
        generation=job.metadata.generation,
        steps=spec.algorithm.steps,
        checkpoint=spec.checkpoint,
        guard=spec.guard,
    )
