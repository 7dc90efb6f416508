"""A real run with everything that exports metrics about it: coordinator, verifier and operator."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml
from cluster.control_plane import ControlPlane
from controller_cluster import COORDINATOR_IP, SYSTEM, Api, Namespace, make_namespace, until
from local_run import LocalRun
from operator_process import running_operator
from prometheus.server import Prometheus, Target
from serving import Quiet, serving

SPACE, JOB = "team", "q"
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Prometheus scrapes all of it while it lasts."""

    run: LocalRun
    prometheus: Prometheus
    space: Namespace

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return int(yaml.safe_load(self.run.manifest)["spec"]["algorithm"]["steps"])

    def lose_a_trainer(self) -> None:
        """In the cluster's eyes: its pod fails, the operator makes another, which starts."""
        before = self.space.names("pods")
        self.space.end_pod(f"{JOB}-trainer-0-1", 1)
        made = until("another pod", lambda: self.space.names("pods") - before, 60)
        _play_kubelet(self.space, made)


@contextmanager
def watched(directory: Path, cache: Path) -> Iterator[Watched]:
    """The operator is the real one on a real API server; its job's pods are played, and the
    coordinator that it asks is the run's."""
    manifest = (Path(__file__).parent / "job.yaml").read_text()
    run = LocalRun(directory=directory / "run", cache=cache, manifest=manifest)
    for part in ("plane", "prometheus"):
        (directory / part).mkdir()
    with ExitStack() as stack:
        plane = stack.enter_context(ControlPlane(directory=directory / "plane"))
        space = _cluster(plane)
        uid = space.create_job(JOB)["metadata"]["uid"]
        prometheus = stack.enter_context(Prometheus(directory=directory / "prometheus"))
        stack.callback(_end, run.start())
        run.until(lambda: _url(run) != "")
        port = stack.enter_context(_as_the_pod(run, uid))
        operator = stack.enter_context(
            running_operator(plane.kubeconfig, f"--coordinator-port={port}")
        )
        pods = until("four pods", lambda: len(p := space.names("pods")) == 4 and p, 60)
        _play_kubelet(space, pods)
        run.until(lambda: _verifier_port(run) != 0)
        prometheus.scrape(
            [
                Target(port=operator.port, labels={"namespace": SYSTEM, "pod": "prorl-operator"}),
                _pod_target("coordinator", int(_url(run).rpartition(":")[2])),
                _pod_target("verifier", _verifier_port(run)),
            ]
        )
        yield Watched(run=run, prometheus=prometheus, space=space)


def _cluster(plane: ControlPlane) -> Namespace:
    api = Api(plane=plane)
    api.apply((ROOT / "crds" / "prorl.dev_prorljobs.yaml").read_text())
    make_namespace(api, SYSTEM)
    return make_namespace(api, SPACE)


def _play_kubelet(space: Namespace, pods: set[str]) -> None:
    for pod in pods:
        space.run_pod(pod, ip=COORDINATOR_IP if "coordinator" in pod else "127.0.0.1")


def _pod_target(role: str, port: int) -> Target:
    pod = f"{JOB}-{role}-0-1"
    return Target(
        port=port, labels={"namespace": SPACE, "prorl_job": JOB, "role": role, "pod": pod}
    )


def _url(run: LocalRun) -> str:
    """Empty before the coordinator listens."""
    path = run.directory / "endpoint.json"
    return str(json.loads(path.read_text())["url"]) if path.exists() else ""


def _verifier_port(run: LocalRun) -> int:
    """0 before there is one."""
    for process in run.family():
        words = process.cmdline()
        if "prorl_verifier" in words:
            return int(words[words.index("--port") + 1])
    return 0


@contextmanager
def _as_the_pod(run: LocalRun, uid: str) -> Iterator[int]:
    """The run's status, as the coordinator of the cluster's job would tell it."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            url = _url(run) + self.path
            token = (run.directory / "token").read_text().strip()
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    document = json.loads(answer.read()) | {"jobUid": uid}
            except OSError as error:  # the run has ended
                self.send_error(503, str(error))
                return
            self.send_document(document)

    with serving(Handler, COORDINATOR_IP) as port:
        yield port


def _end(run: LocalRun) -> None:
    """However the watching ended."""
    assert run.process is not None
    if run.process.poll() is None:
        run.process.terminate()
    run.process.communicate(timeout=120)
    (run.cache / f"{run.mark}.yaml").unlink()
    psutil.wait_procs(run.family(), timeout=30)
