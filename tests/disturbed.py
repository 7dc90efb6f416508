"""A small job whose pods are taken away one by one, and what must be true after each loss."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from cluster.job import Answer, Job
from prorl_api.spec_roles import Role

Manifest = dict[str, Any]
ROLES = ("verifier", "rollout", "trainer", "coordinator")
"""A lost coordinator takes longest, so it comes last."""
CRITICAL = (Role.COORDINATOR, Role.TRAINER)
"""Their failures are charged to runPolicy.maxRestarts."""
REPLACED_S = 420.0
MORE_STEPS = 2
APART_S = 35.0
"""Losses within 30 s of each other may count as one (docs/lifecycle.md)."""
STEPS_AHEAD = 30
LEARNED = ("tokens", "reward_mean", "response_tokens_mean", "entropy", "grad_norm")
"""What a step drew and learned, without its times."""


class LastingJob(Job):
    """It gets more steps to do as long as a test waits for something, whatever a step takes."""

    def until(self, what: str, check: Callable[[], Answer], timeout_s: float) -> Answer:
        """As Job's."""

        def checked() -> Answer:
            self._outlast()
            return check()

        return super().until(what, checked, timeout_s)

    def steps(self) -> int:
        """To be done."""
        job = self.product.find("prorljob", self.name, self.namespace) or {}
        return int(job["spec"]["algorithm"]["steps"])

    def _outlast(self) -> None:
        if self.step() > self.steps() - STEPS_AHEAD:
            self.patch(algorithm={"steps": self.steps() + STEPS_AHEAD})


def shrunk(manifest: Manifest) -> Manifest:
    """The quickstart with one pod of each role, an engine that starts fast and no long pauses."""
    spec = manifest["spec"]
    spec["model"]["uri"] = "tiny://llama"
    spec["algorithm"] |= {"steps": 2 * STEPS_AHEAD, "promptsPerStep": 16}
    spec["algorithm"]["learningRate"] = 1e-7  # what has been learned gives no signal any more
    del spec["data"]["validation"]
    spec["referenceReset"]["everySteps"] = 10
    spec["checkpoint"]["everySteps"] = 3
    spec["rollout"]["engine"] = "transformers"
    spec["rollout"]["pod"]["resources"] = _small("3Gi")
    spec["trainer"]["pod"]["resources"] = _small("3Gi")
    spec["runPolicy"] = {"maxRestarts": 20, "backoff": {"baseSeconds": 1, "maxSeconds": 2}}
    return manifest


def _small(memory: str) -> Manifest:
    return {"cpu": "200m", "memory": memory}


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What a job's status has counted."""

    disruptions: int
    restarts: int
    counted: int
    failed: dict[str, int]

    @classmethod
    def of(cls, job: Job) -> "Tally":
        """As it is now."""
        status = job.status()
        roles = status.get("roles", {})
        return cls(
            disruptions=status.get("disruptions", 0),
            restarts=status.get("restarts", 0),
            counted=status.get("restartsCounted", 0),
            failed={role: roles.get(role, {}).get("failed", 0) for role in ROLES},
        )

    def after_failure_of(self, role: str) -> "Tally":
        """One more failed pod of the role."""
        charged = int(role in CRITICAL)
        return replace(
            self,
            restarts=self.restarts + charged,
            counted=self.counted + charged,
            failed=self.failed | {role: self.failed[role] + 1},
        )

    def after_end_in_peace_of(self, role: str) -> "Tally":
        """One more pod of the role that ended with 0, and nobody knows why."""
        return replace(self, restarts=self.restarts + int(role in CRITICAL))

    def after_disruption(self) -> "Tally":
        """One more, of any role and however many pods."""
        return replace(self, disruptions=self.disruptions + 1)


def only(job: LastingJob, role: str) -> str:
    """The ready pod of the role."""
    (name,) = job.until(f"a ready {role}", lambda: job.ready_pods(role), REPLACED_S)
    return str(name)


def start(job: LastingJob, manifest: Manifest) -> None:
    """Returns after two steps."""
    job.apply(shrunk(manifest))
    job.until("two steps", lambda: job.step() >= MORE_STEPS, REPLACED_S)


@contextmanager
def one_lost(job: LastingJob, role: str) -> Iterator[str]:
    """Yields the role's pod, which the block takes away. Returns when another is there and trains,
    and the next loss will be counted apart; all other pods are those that were there before."""
    before = {one: only(job, one) for one in ROLES}
    with trained_on(job):
        yield before[role]
        job.until(f"{before[role]} is gone", lambda: before[role] not in ready(job), REPLACED_S)
        lost = time.monotonic()
    job.until("time to pass", lambda: time.monotonic() > lost + APART_S, REPLACED_S)
    after = {one: only(job, one) for one in ROLES}
    changed = {one for one in ROLES if before[one] != after[one]}
    assert changed == {role}, f"{before} became {after}"


def ready(job: Job) -> set[str]:
    """Names of all ready pods."""
    return {name for role in ROLES for name in job.ready_pods(role)}


def staying(job: Job) -> set[str]:
    """Names of all pods that nobody has taken; a node that does not answer makes none ready."""
    return {
        str(pod["metadata"]["name"])
        for pod in job.pods()
        if "deletionTimestamp" not in pod["metadata"]
        and pod["status"]["phase"] in ("Pending", "Running")
    }


@contextmanager
def trained_on(job: LastingJob) -> Iterator[None]:
    """After the block all roles become ready, and two more steps are made."""
    yield
    for role in ROLES:
        only(job, role)
    step = job.step()
    job.until(f"steps after {step}", lambda: job.step() >= step + MORE_STEPS, REPLACED_S)


def pods_disrupted(job: Job, role: str, reason: str) -> float:
    """The operator's counter, since it was started."""
    labels = {"namespace": job.namespace, "prorl_job": job.name, "role": role, "reason": reason}
    return job.product.operator_metric("prorl_operator_job_pods_disrupted_total", **labels)


def told(job: Job, reason: str, words: str) -> bool:
    """Whether an Event of the reason has these words."""
    return any(one == reason and words in note for one, note in job.events())


def finished(job: LastingJob) -> None:
    """Succeeded, no step is missing, and one that a loss without warning made it do again was the
    same again, to the last bit: the journal has its groups, the checkpoint its weights."""
    steps = job.steps()
    assert job.until_ended(REPLACED_S) == "Succeeded", job.describe()
    status = job.status()
    assert (status["progress"]["step"], status["checkpoint"]["lastStep"]) == (steps, steps)
    found: dict[int, set[tuple[float, ...]]] = {}
    for record in job.records("step"):
        learned = tuple(record["values"][name] for name in LEARNED)
        found.setdefault(record["step"], set()).add(learned)
    assert sorted(found) == list(range(1, steps + 1))
    assert {step: learned for step, learned in found.items() if len(learned) > 1} == {}


def finished_without_repeats(job: LastingJob) -> None:
    """And every step was done once: each pod had the time to save."""
    finished(job)
    assert job.times_trained() == dict.fromkeys(range(1, job.steps() + 1), 1)
