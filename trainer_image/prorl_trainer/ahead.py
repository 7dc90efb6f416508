"""Collecting groups for the steps, one step ahead of the learners where staleness is allowed.

With rollout.maxStaleness 1 the groups of step t+1 are drawn while step t is learned from; the
weights of step t arrive in flight. Nothing of that is state: RunState knows the prompts of finished
steps only, so whoever stops, goes back or starts again draws the others anew, or finds them in the
journal, and none is lost or learned from twice.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from prorl_api.job import ProRLJobSpec

from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.collect import Sampler, fill
from prorl_trainer.collected import Collected, begin
from prorl_trainer.protocols import PromptSource

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """A collection that was begun before its step."""

    state: RunState
    """What the state was expected to be; only its frontier counts."""
    task: asyncio.Task[Collected]


def same_frontier(a: RunState, b: RunState) -> bool:
    """True if the next step after either state begins with the same prompts and groups."""
    return (a.step, a.next_ordinal, a.returned, a.carried) == (
        b.step, b.next_ordinal, b.returned, b.carried,
    )  # fmt: skip


class Collector:
    """`collect` gives each step its groups. `hold` is called whenever the learners are about to
    change their weights while engines are generating."""

    def __init__(
        self,
        spec: ProRLJobSpec,
        prompts: PromptSource,
        sampler: Sampler,
        hold: Callable[[], None],
    ) -> None:
        self._algorithm = spec.algorithm
        self._max_staleness = spec.rollout.max_staleness
        self._prompts = prompts
        self._sampler = sampler
        self._hold = hold
        self._ahead: Ahead | None = None

    def configure(self, spec: ProRLJobSpec) -> None:
        """What is collected next follows this spec."""
        self._algorithm = spec.algorithm

    async def collect(self, state: RunState) -> Collected:
        """The groups of the step after state.step; begins with those of the step after it. Raises
        NoSignalError and what engines and verifier raise, also for what was begun earlier."""
        out = await self._begun(state)
        out.drop_stale(max_staleness=self._max_staleness, keep_all=self._keep_all)
        await self._fill(out, state)
        out.take(self._algorithm.prompts_per_step, max_staleness=self._max_staleness)
        following = state.model_copy(update={"step": state.step + 1, **out.frontier})
        if self._max_staleness > 0 and following.step < self._algorithm.steps:
            self._hold()
            task = asyncio.create_task(self._fill(begin(following, self._prompts), following))
            self._ahead = Ahead(state=following, task=task)
        return out

    async def close(self) -> None:
        """Ends what was begun ahead; its prompts will be drawn again by whoever goes on."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.task.cancel()
            await asyncio.wait({ahead.task})
            if not ahead.task.cancelled() and (error := ahead.task.exception()) is not None:
                log.info("what was begun ahead for step=%d: %s", ahead.state.step + 1, error)

    async def _begun(self, state: RunState) -> Collected:
        """What was begun ahead for this state; the beginning of a collection otherwise."""
        if self._ahead is not None and same_frontier(self._ahead.state, state):
            ahead, self._ahead = self._ahead, None
            return await ahead.task
        await self.close()  # the run has gone back to an earlier state
        return begin(state, self._prompts)

    async def _fill(self, out: Collected, state: RunState) -> Collected:
        await fill(out, self._algorithm, self._prompts, self._sampler.at(state))
        return out

    @property
    def _keep_all(self) -> bool:
        return not self._algorithm.dynamic_sampling.enabled
