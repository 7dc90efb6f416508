"""Wires the parts and runs them until one ends."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, cast

import kopf

from prorl_operator.collector import collect_when_quiet
from prorl_operator.errors import ApiError
from prorl_operator.handlers import KopfIndices, make_registry
from prorl_operator.kube.apply import Applier
from prorl_operator.kube.client import KubeClient, load_configuration
from prorl_operator.kube.events import Recorder
from prorl_operator.kube.lease import LeaderLease
from prorl_operator.link.coordinator import CoordinatorLink
from prorl_operator.memory import Memories
from prorl_operator.metrics import Metrics
from prorl_operator.queue import WorkQueue
from prorl_operator.reconcile import Reconciler
from prorl_operator.settings import Settings
from prorl_operator.web import Health, serve

log = logging.getLogger("prorl_operator")


class OperatorProcess:
    """Everything of one instance."""

    def __init__(self, settings: Settings, client: KubeClient, metrics: Metrics) -> None:
        clock: Callable[[], datetime] = _now
        self.settings, self.client, self.metrics = settings, client, metrics
        self.queue = WorkQueue()
        metrics.depth.set_function(lambda: len(self.queue))
        metrics.oldest_wait.set_function(lambda: self.queue.oldest_wait_s)
        self.watched = KopfIndices()
        self.health = Health()
        self.link = CoordinatorLink(
            port=settings.coordinator_port, poll_s=settings.poll_s, changed=self.queue.add
        )
        self.reconciler = Reconciler(
            settings=settings,
            watched=self.watched,
            applier=Applier(client, settings.key, clock),
            recorder=Recorder(client, settings.identity, clock),
            link=self.link,
            metrics=metrics,
            clock=clock,
            memories=Memories(),
        )

    async def run(self) -> None:
        """Until SIGTERM. Raises LeadershipLost."""
        runner = await serve(self.settings.metrics_port, self.metrics, self.health)
        try:
            await self._lead()
        finally:
            await runner.cleanup()
            await self.client.close()

    async def _lead(self) -> None:
        lease = None
        if self.settings.leader_election:
            lease = LeaderLease(
                self.client,
                namespace=self.settings.leader_election_namespace,
                identity=self.settings.identity,
            )
            await lease.acquire(self._stand_by)
        self._set_leader(True)
        try:
            await self._work(lease)
        finally:
            self._set_leader(False)
        if lease is not None:
            await lease.release()

    def _stand_by(self) -> None:
        self.health.standing_by = True

    def _set_leader(self, held: bool) -> None:
        self.health.leading, self.health.standing_by = held, False
        self.metrics.leader.set(int(held))

    async def _work(self, lease: LeaderLease | None) -> None:
        has_jobs = await self._wait_for_api()
        workers = [self._worker() for _ in range(self.settings.workers)]
        rest: list[Coroutine[None, None, None]] = [
            self._resync(),
            self.link.run(),
            self._watch_readiness(has_jobs),
            collect_when_quiet(lambda: not len(self.queue)),
        ]
        if lease is not None:
            rest.append(lease.keep())
        tasks = [asyncio.create_task(one) for one in [self._kopf(), *workers, *rest]]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()  # raises what has ended it

    def _on_event(self, key: tuple[str, str], pause_s: float) -> None:
        self.metrics.watch_event.set_to_current_time()
        self.queue.add(key, pause_s)

    async def _kopf(self) -> None:
        spaces = list(self.settings.namespaces)
        await kopf.operator(
            registry=make_registry(self._on_event, self.watched),
            clusterwide=not spaces,
            namespaces=spaces,
            standalone=True,
            # Else kopf asks for the user's name, and a pod's user has none. Its type is private.
            identity=cast(Any, self.settings.identity),
        )

    async def _wait_for_api(self) -> bool:
        """Whether there are jobs. Until the CRD is served and may be read, says what is missing."""
        while True:
            try:
                found = [
                    await self.client.list_few("ProRLJob", namespace)
                    for namespace in (self.settings.namespaces or (None,))
                ]
                return any(found)
            except ApiError as error:
                log.error("ProRLJobs cannot be listed, trying again in 2 s: %s", error)
                await asyncio.sleep(2.0)

    async def _watch_readiness(self, has_jobs: bool) -> None:
        while not (self.watched.filled or (self.watched.indices and not has_jobs)):
            await asyncio.sleep(0.1)
        self.health.filled = True
        await asyncio.Event().wait()

    async def _worker(self) -> None:
        while True:
            key = await self.queue.get()
            started = time.monotonic()
            result = await self._reconcile(key)
            self.metrics.reconciles.labels(result).inc()
            self.metrics.reconcile_seconds.observe(time.monotonic() - started)
            self.queue.done(key)

    async def _reconcile(self, key: tuple[str, str]) -> str:
        """No fault of one job may stop the others: it is logged and tried again."""
        try:
            after_s = await self.reconciler.reconcile(key)
        except ApiError as error:
            log.warning("retry in %.1f s %s/%s: %s", self._retry(key), *key, error)
            return "error"
        except Exception:
            log.exception("bug: retry in %.1f s %s/%s", self._retry(key), *key)
            return "bug"
        self.queue.forget(key)
        if after_s is None:
            return "success"
        self.queue.add(key, after_s)
        return "requeue_after"

    def _retry(self, key: tuple[str, str]) -> float:
        self.metrics.retries.inc()
        return self.queue.retry(key)

    async def _resync(self) -> None:
        """Heals what no event has told of."""
        while True:
            await asyncio.sleep(self.settings.resync_s * random.uniform(0.9, 1.1))
            for key in self.watched.all_keys():
                self.queue.add(key, random.uniform(0.1, 1.0))


async def run_operator(settings: Settings) -> None:
    """Until SIGTERM. Raises LeadershipLost."""
    metrics = Metrics()

    def count(verb: str, code: int) -> None:
        metrics.requests.labels(verb, str(code)).inc()

    client = KubeClient(await load_configuration(settings.kubeconfig), count)
    await OperatorProcess(settings, client, metrics).run()


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 the one clock of the operator
