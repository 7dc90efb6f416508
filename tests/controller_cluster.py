"""A namespace on the real API server, and the test in the part of the kubelet."""

import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.control_plane import ADMIN_TOKEN, ControlPlane

ROOT = Path(__file__).parents[1]
SYSTEM = "prorl-system"
COORDINATOR_IP = "127.0.0.9"
"""Where the pod of a coordinator that somebody plays is said to be; the others are at 127.0.0.1."""
JOBS = "/apis/prorl.dev/v1alpha1/namespaces/{}/prorljobs"
Manifest = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Api:
    """Requests as an administrator."""

    plane: ControlPlane

    def request(
        self, method: str, path: str, body: Any = None, content: str = "application/json"
    ) -> Manifest:
        """Raises HTTPError with the server's message in its reason."""
        data = None if body is None else json.dumps(body).encode()
        try:
            return dict(json.loads(self._text(method, path, data, content)))
        except urllib.error.HTTPError as error:
            error.msg = f"{error.msg}: {json.loads(error.read()).get('message')}"
            raise

    def _text(
        self, method: str, path: str, data: bytes | None = None, content: str = "application/json"
    ) -> bytes:
        request = urllib.request.Request(
            self.plane.url + path,
            data=data,
            method=method,
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": content},
        )
        trusted = ssl.create_default_context(cafile=str(self.plane.directory / "ca.crt"))
        with urllib.request.urlopen(request, context=trusted, timeout=30) as answer:
            return bytes(answer.read())

    def watchers_of_one_job(self) -> int:
        """Those that the API server says to have now, of one ProRLJob each."""
        lines = self._text("GET", "/metrics").decode().splitlines()
        wanted = ('resource="prorljobs"', 'scope="resource"', 'verb="WATCH"')
        return sum(
            int(float(line.rsplit(" ", 1)[1]))
            for line in lines
            if line.startswith("apiserver_longrunning_requests{") and all(w in line for w in wanted)
        )

    def get(self, path: str) -> Manifest | None:
        """None if there is no such object."""
        try:
            return self.request("GET", path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def merge(self, path: str, body: Manifest) -> Manifest:
        """Merge patch."""
        return self.request("PATCH", path, body, "application/merge-patch+json")

    def apply(self, text: str) -> None:
        """kubectl apply."""
        command = [str(self.plane.kubectl), "--kubeconfig", str(self.plane.kubeconfig)]
        command += ["apply", "--server-side", "--force-conflicts", "-f", "-"]
        subprocess.run(command, input=text, text=True, check=True, capture_output=True)


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """Jobs, pods and events of one restricted namespace."""

    api: Api
    name: str

    @property
    def core(self) -> str:
        """Path of core objects."""
        return f"/api/v1/namespaces/{self.name}"

    def create_job(self, name: str = "q", **spec: Any) -> Manifest:
        """The least job."""
        base: Manifest = {
            "model": {"uri": "tiny://llama"},
            "data": {
                "train": [
                    {
                        "name": "a",
                        "domain": "logic",
                        "uri": "gym://reasoning-gym/spell_backward?size=10",
                    }
                ]
            },
        }
        job = {"apiVersion": "prorl.dev/v1alpha1", "kind": "ProRLJob"}
        job |= {"metadata": {"name": name}, "spec": base | spec}
        return self.api.request("POST", JOBS.format(self.name), job)

    def patch(self, **spec: Any) -> None:
        """These fields of the job's spec, merged into what it has."""
        self.api.merge(f"{JOBS.format(self.name)}/q", {"spec": spec})

    def job(self, name: str = "q") -> Manifest:
        """Must exist."""
        return self.api.request("GET", f"{JOBS.format(self.name)}/{name}")

    def status(self, name: str = "q") -> Manifest:
        """May be empty."""
        return dict(self.job(name).get("status") or {})

    def condition(self, kind: str, name: str = "q") -> Manifest:
        """May be empty."""
        conditions = self.status(name).get("conditions") or []
        return next((c for c in conditions if c["type"] == kind), {})

    def names(self, plural: str) -> set[str]:
        """Objects of core/v1."""
        answer = self.api.request("GET", f"{self.core}/{plural}")
        return {one["metadata"]["name"] for one in answer["items"]}

    def event_reasons(self) -> set[str]:
        """Of our Events."""
        path = f"/apis/events.k8s.io/v1/namespaces/{self.name}/events"
        items = self.api.request("GET", path)["items"]
        return {one["reason"] for one in items if one["regarding"]["kind"] == "ProRLJob"}

    def run_pod(self, name: str, *, ip: str = "127.0.0.1") -> None:
        """As the kubelet would say it."""
        self.pod_status(
            name,
            {
                "phase": "Running",
                "podIP": ip,
                "podIPs": [{"ip": ip}],
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [_container({"running": {"startedAt": _now()}})],
            },
        )

    def end_pod(self, name: str, code: int, message: str = "") -> None:
        """The container has ended."""
        ended = {"exitCode": code, "message": message, "startedAt": _now(), "finishedAt": _now()}
        self.pod_status(
            name,
            {
                "phase": "Failed" if code else "Succeeded",
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [_container({"terminated": ended})],
            },
        )

    def hold_pod(self, name: str, reason: str, message: str) -> None:
        """The container waits."""
        state = {"waiting": {"reason": reason, "message": message}}
        self.pod_status(name, {"phase": "Pending", "containerStatuses": [_container(state)]})

    def pod_status(self, name: str, status: Manifest) -> None:
        """Merge patch of the status subresource."""
        self.api.merge(f"{self.core}/pods/{name}/status", {"status": status})

    def remove_pod(self, name: str) -> None:
        """At once, as when the kubelet has confirmed the end."""
        self.api.request("DELETE", f"{self.core}/pods/{name}", {"gracePeriodSeconds": 0})


def make_namespace(api: Api, name: str, **labels: str) -> Namespace:
    """Returns when pods can be made in it."""
    api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    until("the default service account", lambda: api.get(account))
    return Namespace(api=api, name=name)


def until(what: str, check: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Waits for a truthy answer."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = check()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def _container(state: Manifest) -> Manifest:
    return {
        "name": "main",
        "image": "x",
        "imageID": "",
        "ready": "running" in state,
        "restartCount": 0,
        "state": {"waiting": None, "running": None, "terminated": None} | state,
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
