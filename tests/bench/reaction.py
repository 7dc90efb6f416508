"""How soon an evicted pod has a replacement, with the operator and with a bare client.

    python tests/bench/reaction.py [--jobs 100] [--bursts 5] [--burst 40]

A real API server with --jobs jobs of four pods, all but the coordinators bound to a node that the
bench plays, and copies of these pods in a namespace where bare_client.py does nothing but watch and
create. Pods are evicted through the API: one at a time, the two in turns; then --burst at once, one
of each job. A sample is the time from the API server's answer to the eviction to its answer to the
creation of the replacement, by its audit log. Afterwards every role must have one pod that stays.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import measuring
from bare_client import anew, next_name
from cluster.control_plane import ControlPlane
from controller_cluster import ROOT, SYSTEM, Api, Manifest, Namespace, until
from operator_process import running_operator
from prorl_api import runtime

OURS, BARE = "ours", "bare"
ROLES = ("rollout", "trainer", "verifier")
"""A coordinator's replacement waits for the end of the old one, so it has no reaction time."""
NODE = "node"
WRITES = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "verbs": ["create", "update", "patch", "delete"]}],
}
"""An audit policy: who wrote what, and when the answer was complete."""
BEAT_S = 5.0
REST_S = 1.0
"""Between two evictions: what follows a replacement (status, Event) is not part of the next."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The pods to be evicted are those of both namespaces, which have the same names."""

    api: Api

    def evict(self, namespace: str, pods: Sequence[str]) -> None:
        """At once. Returns when all are replaced."""
        with ThreadPoolExecutor(len(pods)) as pool:
            list(pool.map(lambda pod: self._evict(namespace, pod), pods))
        core = Namespace(api=self.api, name=namespace).core
        for pod in pods:
            path = f"{core}/pods/{next_name(pod)}"
            until(f"a replacement of {pod}", lambda path=path: self.api.get(path), 60)

    def _evict(self, namespace: str, pod: str) -> None:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        self.api.request("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", body)

    def in_turns(self, rounds: Sequence[Sequence[str]]) -> dict[str, list[float]]:
        """Each round's pods of one namespace, then of the other. Milliseconds of each pod."""
        for number, pods in enumerate(rounds):
            for namespace in (OURS, BARE) if number % 2 else (BARE, OURS):
                self.evict(namespace, pods)
                time.sleep(REST_S)
        names = [pod for pods in rounds for pod in pods]
        return until("the audit log", lambda: self._reactions(names), 60)

    def _reactions(self, pods: list[str]) -> dict[str, list[float]] | None:
        """None while the log is not complete."""
        done: dict[tuple[str, str, str], float] = {}
        for line in self.api.plane.audit_log.read_text().splitlines():
            entry = json.loads(line)
            what = entry["objectRef"]
            if what["resource"] == "pods" and entry["responseStatus"]["code"] == 201:
                key = what["namespace"], what["name"], what.get("subresource", "")
                done[key] = datetime.fromisoformat(entry["stageTimestamp"]).timestamp()
        try:
            return {
                space: [
                    1e3 * (done[space, next_name(pod), ""] - done[space, pod, "eviction"])
                    for pod in pods
                ]
                for space in (OURS, BARE)
            }
        except KeyError:
            return None


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=100, help="and as many single evictions")
    parser.add_argument("--bursts", type=int, default=5)
    parser.add_argument("--burst", type=int, default=40, help="pods that are evicted at once")
    options = parser.parse_args()
    if options.bursts * options.burst > 2 * options.jobs or options.burst > options.jobs:
        parser.error("--bursts x --burst needs pods: at most two of each job, one in a burst")
    machine, rows = measuring.machine(), []
    with prepared(options.jobs) as bench:
        jobs = range(options.jobs)
        single = [[f"q{job}-{ROLES[job % 3]}-0-1"] for job in jobs]
        rest = [f"q{job}-{ROLES[(job + turn) % 3]}-0-1" for turn in (1, 2) for job in jobs]
        bursts = [rest[i * options.burst :][: options.burst] for i in range(options.bursts)]
        for at_once, rounds in ((1, single), (options.burst, bursts)):
            rows.append(row(options.jobs, at_once, bench.in_turns(rounds)))
            measuring.report("reaction", rows[-1] | machine)
        check(bench.api)
    show(rows)
    measuring.describe(machine)


def row(jobs: int, at_once: int, samples: dict[str, list[float]]) -> measuring.Row:
    """Milliseconds."""
    found: measuring.Row = {"jobs": jobs, "at_once": at_once, "evictions": len(samples[OURS])}
    for name, values in samples.items():
        found[name] = measuring.spread(values, 2) | {"p99": round(p99(values), 2)}
        found[f"{name}_samples"] = [round(value, 2) for value in values]
    return found | {"p99_ratio": round(p99(samples[OURS]) / p99(samples[BARE]), 2)}


def p99(values: Sequence[float]) -> float:
    """The least sample that 99 % do not exceed."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def show(rows: list[measuring.Row]) -> None:
    """The table for docs/performance.md."""
    head = ("evicted at once", "evictions", "operator, ms", "p99", "bare client, ms", "p99", "p99 ratio")  # noqa: E501  # fmt: skip
    measuring.table(head, [
        (r["at_once"], r["evictions"], measuring.shown(r[OURS], 1), r[OURS]["p99"],
         measuring.shown(r[BARE], 1), r[BARE]["p99"], r["p99_ratio"])
        for r in rows
    ])  # fmt: skip


@contextmanager
def prepared(jobs: int) -> Iterator[Bench]:
    """Pods run in both namespaces, and both who replace them watch."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plane = stack.enter_context(ControlPlane(directory=directory, audit_policy=WRITES))
        api = Api(plane=plane)
        make_cluster(api)
        stack.enter_context(beating(api))
        stack.enter_context(running_operator(plane.kubeconfig, "--poll-seconds=2"))
        for number in range(jobs):
            Namespace(api=api, name=OURS).create_job(f"q{number}")
        pods = until("all pods", lambda: all_pods(api, 4 * jobs), 300)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda pod: run_twice(api, pod), pods))
        stack.enter_context(bare_client(plane.kubeconfig))
        yield Bench(api=api)


def make_cluster(api: Api) -> None:
    """Definition, namespaces and a node."""
    api.apply((ROOT / "crds" / "prorl.dev_prorljobs.yaml").read_text())
    for name in (SYSTEM, OURS, BARE):
        api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        until("the default service account", lambda path=account: api.get(path))
    api.request("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})


@contextmanager
def beating(api: Api) -> Iterator[None]:
    """The node answers, or the control plane would take its pods."""
    stop = threading.Event()

    def beat() -> None:
        while True:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now}
            body = {"status": {"conditions": [ready | {"reason": "Up", "message": "up"}]}}
            api.merge(f"/api/v1/nodes/{NODE}/status", body)
            if stop.wait(BEAT_S):
                return

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def all_pods(api: Api, number: int) -> list[Manifest]:
    """Of the operator; empty until all are there."""
    items = api.request("GET", f"/api/v1/namespaces/{OURS}/pods")["items"]
    return items if len(items) == number else []


def run_twice(api: Api, pod: Manifest) -> None:
    """The pod, and its copy in the other namespace, which the operator does not see as its own."""
    name = pod["metadata"]["name"]
    if pod["metadata"]["labels"][runtime.LABEL_ROLE] not in ROLES:
        return
    copy = anew(pod, name)
    copy["metadata"]["labels"] = {f"copy.{k}": v for k, v in copy["metadata"]["labels"].items()}
    api.request("POST", f"/api/v1/namespaces/{BARE}/pods", copy)
    for namespace in (OURS, BARE):
        body = {"metadata": {"name": name}, "target": {"kind": "Node", "name": NODE}}
        api.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/binding", body)
        Namespace(api=api, name=namespace).run_pod(name)


@contextmanager
def bare_client(kubeconfig: Path) -> Iterator[None]:
    """Watching."""
    script = Path(__file__).with_name("bare_client.py")
    command = [sys.executable, str(script), str(kubeconfig), BARE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError("the bare client did not start")
        yield
    finally:
        process.kill()
        process.wait()


def check(api: Api) -> None:
    """No pod too few and none twice, in either namespace. Raises AssertionError."""
    for namespace in (OURS, BARE):
        items = api.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        stay = [p["metadata"]["name"] for p in items if "deletionTimestamp" not in p["metadata"]]
        slots = [name.rpartition("-")[0] for name in stay]
        gone = {p["metadata"]["name"].rpartition("-")[0] for p in items} - set(slots)
        if gone or len(slots) != len(set(slots)):
            raise AssertionError(f"{namespace}: without a pod {sorted(gone)}, pods {sorted(stay)}")


if __name__ == "__main__":
    main()
