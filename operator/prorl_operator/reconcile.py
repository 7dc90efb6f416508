"""One pass over one job: observe -> plan -> apply. The file to read first."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from prorl_api.job import ProRLJob
from pydantic import ValidationError

from prorl_operator.build.secrets import Purpose, token
from prorl_operator.errors import JobGone
from prorl_operator.kube.apply import Applier
from prorl_operator.kube.events import Recorder
from prorl_operator.kube.observe import (
    Manifest,
    Watched,
    describe_invalid,
    expire_answers,
    fingerprint,
    generation_of,
    is_deleting,
    is_ours,
    newer,
    observe_children,
    observe_pods,
    parse_status,
    read_job,
)
from prorl_operator.link.coordinator import CoordinatorLink, Target
from prorl_operator.memory import JobMemory, Memories, Untold
from prorl_operator.metrics import Metrics
from prorl_operator.plan.actions import CreatePod, Plan, PlannedEvent
from prorl_operator.plan.observed import Key, Observed
from prorl_operator.plan.plan import invalid_plan, make_plan
from prorl_operator.plan.throttle import status_pause_s
from prorl_operator.settings import Settings

log = logging.getLogger("prorl_operator")

TELL_AFTER_S = 0.25
"""From new pods to the status that tells of them: replacements of other jobs go first, and most of
what follows from them is told in the same write."""

EXPECTATION_CHECK_S = 6.0
"""After a write: look whether the watch has shown it (kube.observe.LAG_LIMIT has passed then)."""


@dataclass(kw_only=True, slots=True)
class Reconciler:
    """What a pass needs; the passes of one key never overlap."""

    settings: Settings
    watched: Watched
    applier: Applier
    recorder: Recorder
    link: CoordinatorLink
    metrics: Metrics
    clock: Callable[[], datetime]
    memories: Memories

    async def reconcile(self, key: Key) -> float | None:
        """Returns the seconds after which to look again, or None. Raises ApiError to be retried."""
        body = self.watched.job(key)
        if body is None or is_deleting(body) or not is_ours(body):
            self._forget(key)
            return None
        memory = self.memories.of(key, str(body["metadata"]["uid"]))
        body = newer(body, "ProRLJob", key[1], memory) or body
        try:
            return await self._pass(key, body, memory)
        except JobGone as gone:
            log.info("job gone namespace=%s job=%s detail=%s", *key, gone)
            return None

    async def _pass(self, key: Key, body: Manifest, memory: JobMemory) -> float | None:
        now = self.clock()
        expire_answers(memory, now)
        try:
            job = read_job(body, memory)
        except ValidationError as error:
            plan = invalid_plan(
                message=describe_invalid(error),
                generation=generation_of(body),
                stored=parse_status(body),
                now=now,
            )
            return await self._tell(key, plan, body, memory)
        observed = self._observe(key, job, body, memory)
        plan = make_plan(observed, now)
        memory.problems = await self.applier.run(plan.actions, job, memory)
        if memory.problems != observed.problems:
            told = make_plan(replace(observed, problems=memory.problems), now)
            plan = replace(told, events=told.events if memory.problems else plan.events)
        if plan.settled:
            memory.settled = fingerprint(job, observed.children)
        self._follow(key, observed)
        self.link.ask(key, plan.commands)
        made = [a for a in plan.actions if isinstance(a, CreatePod) and a.name in memory.created]
        if made:
            self._count_disrupted(key, made)
            memory.untold = Untold(status=plan.status, events=_untold_events(memory, plan))
            return _earliest(TELL_AFTER_S, plan.requeue_after_s)
        again_s = await self._tell(key, plan, body, memory)
        unsure = plan.actions or memory.unshown
        return _earliest(again_s, EXPECTATION_CHECK_S if unsure else None)

    def _observe(self, key: Key, job: ProRLJob, body: Manifest, memory: JobMemory) -> Observed:
        children = observe_children(self.watched.children(key), memory)
        return Observed(
            job=job,
            stored=memory.untold.status if memory.untold else parse_status(body),
            pods=observe_pods(self.watched.pods(key), memory),
            children=children,
            document=self.link.document(key),
            token_refused=self.link.refuses(key),
            problems=memory.problems,
            settled=memory.settled == fingerprint(job, children),
            incarnations=dict(memory.incarnations),
            tokens_applied=memory.tokens_applied,
            tokens_reissued_for=frozenset(memory.tokens_reissued_for),
            default_image=self.settings.image,
            default_verifier_image=self.settings.verifier_image,
        )

    async def _tell(self, key: Key, plan: Plan, body: Manifest, memory: JobMemory) -> float | None:
        """Status once, then Events, then counters."""
        self.metrics.show_job(key, plan.status)
        stored, events = parse_status(body), _untold_events(memory, plan)
        pause_s = status_pause_s(stored, plan.status, memory.status_written_at, self.clock())
        if pause_s > 0 and not events:  # a replacement is told now or never
            return _earliest(pause_s, plan.requeue_after_s)
        if plan.status != stored:
            await self.applier.write_status(key, memory.uid, plan.status, memory)
        await self.recorder.record(key, memory.uid, events)
        memory.untold = None
        return plan.requeue_after_s

    def _count_disrupted(self, key: Key, made: Iterable[CreatePod]) -> None:
        """A pod whose replacement was refused is counted when it gets one."""
        for pod in made:
            if pod.disruption is not None:
                self.metrics.pods_disrupted.labels(*key, pod.slot.role, pod.disruption).inc()

    def _follow(self, key: Key, observed: Observed) -> None:
        pod, uid = observed.coordinator, observed.job.metadata.uid
        target = None
        if pod is not None and pod.phase == "Running" and pod.ip:
            api_token = token(self.settings.key, uid, Purpose.API)
            target = Target(uid=uid, ip=pod.ip, token=api_token)
        self.link.follow(key, target)

    def _forget(self, key: Key) -> None:
        self.memories.forget(key)
        self.link.forget(key)
        self.metrics.drop_job(key)


def _untold_events(memory: JobMemory, plan: Plan) -> tuple[PlannedEvent, ...]:
    return (*(memory.untold.events if memory.untold else ()), *plan.events)


def _earliest(*delays: float | None) -> float | None:
    return min((delay for delay in delays if delay is not None), default=None)
