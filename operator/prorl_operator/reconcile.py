"""One pass over one job: observe -> plan -> apply. The file to read first."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from prorl_api.job import ProRLJob, parse_job
from prorl_api.status import ProRLJobStatus
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
    generation_of,
    is_deleting,
    is_ours,
    newer,
    observe_children,
    observe_pods,
    parse_status,
)
from prorl_operator.link.coordinator import CoordinatorLink, Target
from prorl_operator.memory import JobMemory, Memories
from prorl_operator.metrics import Metrics
from prorl_operator.plan.actions import CreatePod, Plan
from prorl_operator.plan.observed import Key, Observed
from prorl_operator.plan.plan import invalid_plan, make_plan
from prorl_operator.plan.throttle import status_pause_s
from prorl_operator.settings import Settings

log = logging.getLogger("prorl_operator")

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
            job = parse_job({name: part for name, part in body.items() if name != "status"})
        except ValidationError as error:
            plan = invalid_plan(
                message=describe_invalid(error),
                generation=generation_of(body),
                stored=parse_status(body),
                now=now,
            )
            return await self._write(key, plan, parse_status(body), memory)
        observed = self._observe(key, job, body, memory)
        plan = make_plan(observed, now)
        memory.problems = await self.applier.run(plan.actions, job, memory)
        if memory.problems != observed.problems:
            told = make_plan(replace(observed, problems=memory.problems), now)
            plan = replace(told, events=told.events if memory.problems else plan.events)
        self._follow(key, observed)
        self.link.ask(key, plan.commands)
        again_s = await self._write(key, plan, observed.stored, memory)
        self._count_disrupted(key, plan, memory)
        return _earliest(again_s, EXPECTATION_CHECK_S if plan.actions else None)

    def _observe(self, key: Key, job: ProRLJob, body: Manifest, memory: JobMemory) -> Observed:
        return Observed(
            job=job,
            stored=parse_status(body),
            pods=observe_pods(self.watched.pods(key), memory),
            children=observe_children(self.watched.children(key), memory),
            document=self.link.document(key),
            token_refused=self.link.refuses(key),
            problems=memory.problems,
            incarnations=dict(memory.incarnations),
            tokens_applied=memory.tokens_applied,
            tokens_reissued_for=frozenset(memory.tokens_reissued_for),
            default_image=self.settings.image,
            default_verifier_image=self.settings.verifier_image,
        )

    async def _write(
        self, key: Key, plan: Plan, stored: ProRLJobStatus | None, memory: JobMemory
    ) -> float | None:
        """Status once, then Events, then counters."""
        self.metrics.show_job(key, plan.status)
        pause_s = status_pause_s(stored, plan.status, memory.status_written_at, self.clock())
        if pause_s > 0 and not plan.events:  # a replacement is told now or never
            return _earliest(pause_s, plan.requeue_after_s)
        if plan.status != stored:
            await self.applier.write_status(key, memory.uid, plan.status, memory)
        await self.recorder.record(key, memory.uid, plan.events)
        return plan.requeue_after_s

    def _count_disrupted(self, key: Key, plan: Plan, memory: JobMemory) -> None:
        """A pod whose replacement was refused is counted when it gets one."""
        made = (a for a in plan.actions if isinstance(a, CreatePod) and a.name in memory.created)
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


def _earliest(*delays: float | None) -> float | None:
    return min((delay for delay in delays if delay is not None), default=None)
