"""One ProRLJob on the local cluster, as kubectl and its volume show it."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cluster.product import Product

Manifest = dict[str, Any]
Answer = TypeVar("Answer")
POLL_S = 0.25
ENDED = ("Succeeded", "Failed")


def with_steps(manifest: Manifest, steps: int) -> Manifest:
    """The quickstart, shorter, with a reset and saves on the way."""
    spec = manifest["spec"]
    spec["algorithm"]["steps"] = steps
    spec["data"]["validation"]["everySteps"] = steps
    spec["referenceReset"]["everySteps"] = 3
    spec["checkpoint"]["everySteps"] = 4
    return manifest


@dataclass(frozen=True, kw_only=True)
class Job:
    """By name; need not exist."""

    product: Product
    namespace: str
    name: str

    def apply(self, manifest: Manifest) -> None:
        """kubectl apply. Raises RuntimeError with the API server's words."""
        meta = manifest["metadata"] | {"name": self.name}
        self.kubectl("apply", "-f", "-", text=json.dumps(manifest | {"metadata": meta}))

    def patch(self, **spec: object) -> None:
        """These fields of the spec, merged into what it has."""
        text = json.dumps({"spec": spec})
        self.kubectl("patch", "prorljob", self.name, "--type=merge", "-p", text)

    def evict(self, pod: str) -> None:
        """By the eviction API, as an autoscaler does. Raises RuntimeError if it is refused."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        self.product.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(body))

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """In the job's namespace."""
        return self.product.kubectl("-n", self.namespace, *arguments, text=text)

    def status(self) -> Manifest:
        """Empty where there is none."""
        job = self.product.find("prorljob", self.name, self.namespace) or {}
        return dict(job.get("status") or {})

    def step(self) -> int:
        """Finished steps."""
        return int(self.status().get("progress", {}).get("step", 0))

    def condition(self, kind: str) -> Manifest:
        """Empty where there is none."""
        found = (c for c in self.status().get("conditions", []) if c["type"] == kind)
        return next(found, {})

    def events(self) -> list[tuple[str, str]]:
        """Reason and note of the job's Events."""
        items = self.product.objects("events.events.k8s.io", self.namespace)
        ours = (e for e in items if e["regarding"].get("name") == self.name)
        return [(e["reason"], e.get("note", "")) for e in ours]

    def pods(self, role: str | None = None) -> list[Manifest]:
        """Of all roles or one; those that are leaving too."""
        selector = f"prorl.dev/job={self.name}" + (f",prorl.dev/role={role}" if role else "")
        return self.product.objects("pods", self.namespace, "-l", selector)

    def ready_pods(self, role: str) -> set[str]:
        """Names of the role's pods that are ready and stay."""
        ready = set()
        for pod in self.pods(role):
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
            if conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]:
                ready.add(str(pod["metadata"]["name"]))
        return ready

    @property
    def directory(self) -> Path:
        """The job's files on its volume, as this machine sees them."""
        claim = f"{self.name}-checkpoints"
        return self.product.volume_of(claim, self.namespace) / self.name

    def records(self, kind: str) -> list[Manifest]:
        """Lines of metrics.jsonl."""
        lines = (self.directory / "metrics.jsonl").read_text().splitlines()
        return [one for one in map(json.loads, lines) if one["kind"] == kind]

    def times_trained(self) -> Counter[int]:
        """Step -> how often the metrics log says that it was finished."""
        return Counter(record["step"] for record in self.records("step"))

    def until(self, what: str, check: Callable[[], Answer], timeout_s: float) -> Answer:
        """Waits for a truthy answer; AssertionError with the job's state if none comes, or if the
        job fails meanwhile."""
        deadline = time.monotonic() + timeout_s
        while not (answer := check()):
            failed = self.condition("Failed").get("status") == "True"
            if failed or time.monotonic() > deadline:
                why = "the job has failed" if failed else f"not within {timeout_s:.0f} s"
                raise AssertionError(f"{why}: {what}\n{self.describe()}")
            time.sleep(POLL_S)
        return answer

    def until_ended(self, timeout_s: float) -> str:
        """The final phase."""
        deadline = time.monotonic() + timeout_s
        while (phase := self.status().get("phase")) not in ENDED:
            if time.monotonic() > deadline:
                raise AssertionError(f"{phase} after {timeout_s:.0f} s\n{self.describe()}")
            time.sleep(POLL_S)
        return str(phase)

    def describe(self) -> str:
        """What a person would look at next."""
        parts = [json.dumps(self.status(), indent=1), self.kubectl("get", "pods", "-o", "wide")]
        parts += [f"{reason}: {note}" for reason, note in self.events()]
        parts += [self._log(pod) for pod in self.pods()]
        return "\n".join(parts)

    def _log(self, pod: Manifest) -> str:
        name = pod["metadata"]["name"]
        try:
            return f"--- {name}\n" + self.kubectl("logs", name, "--tail=40")
        except RuntimeError as error:
            return f"--- {name}: no log: {error}"

    @contextmanager
    def phases(self) -> Iterator[list[str]]:
        """Every phase that is written meanwhile, in order; filled when the block has ended."""
        seen: list[str] = []
        command = [*self.product.command("kubectl"), "-n", self.namespace]
        command += ["get", "prorljobs", "--watch", "-o"]
        command += ['jsonpath={.metadata.name} {.status.phase}{"\\n"}']
        watch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield seen
        finally:
            os.kill(watch.pid, signal.SIGTERM)
            for line in watch.communicate()[0].splitlines():
                name, _, phase = line.partition(" ")
                if name == self.name and phase and phase not in seen[-1:]:
                    seen.append(phase)
