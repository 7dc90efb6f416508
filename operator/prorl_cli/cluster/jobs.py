"""ProRLJobs of a cluster through the user's kubeconfig: the CLI's only importer of the client."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

Manifest = dict[str, Any]
GROUP, VERSION, PLURAL = "prorl.dev", "v1alpha1", "prorljobs"


class Jobs:
    """The jobs of one namespace. Every method raises click.ClickException in the server's words."""

    def __init__(self, namespace: str | None, context: str | None, kubeconfig: str | None) -> None:
        try:
            config.load_kube_config(kubeconfig, context)
            contexts, active = config.list_kube_config_contexts(kubeconfig)
        except ConfigException as error:
            raise click.ClickException(f"no cluster: {error}") from error
        named = next((c for c in contexts if c["name"] == context), active)
        self.namespace: str = namespace or named["context"].get("namespace") or "default"
        self._custom = client.CustomObjectsApi()
        self._core = client.CoreV1Api()
        self._events = client.EventsV1Api()

    def items(self, *, everywhere: bool) -> list[Manifest]:
        """Of the namespace, or of all."""
        with _told():
            if everywhere:
                found = self._custom.list_cluster_custom_object(GROUP, VERSION, PLURAL)
            else:
                found = self._custom.list_namespaced_custom_object(
                    GROUP, VERSION, self.namespace, PLURAL
                )
        return list(found["items"])

    def get(self, name: str) -> Manifest:
        """One job."""
        with _told():
            return dict(
                self._custom.get_namespaced_custom_object(
                    GROUP, VERSION, self.namespace, PLURAL, name
                )
            )

    def patch(self, name: str, spec: Manifest) -> None:
        """Merges into the job's spec."""
        with _told():
            self._custom.patch_namespaced_custom_object(
                GROUP, VERSION, self.namespace, PLURAL, name, {"spec": spec}
            )

    def changes(self, name: str, timeout_s: int) -> Iterator[Manifest]:
        """The job as it is, then after every change; ends after timeout_s at the latest. Raises
        ClickException when the job is deleted."""
        found = self.get(name)
        yield found
        with _told():
            stream = watch.Watch().stream(
                self._custom.list_namespaced_custom_object, GROUP, VERSION, self.namespace, PLURAL,
                field_selector=f"metadata.name={name}", timeout_seconds=timeout_s,
                resource_version=found["metadata"]["resourceVersion"],
            )  # fmt: skip
            for event in stream:
                if event["type"] == "DELETED":
                    raise click.ClickException(f'prorljob "{name}" was deleted')
                yield event["object"]

    def events(self, name: str) -> list[Manifest]:
        """Of the job, oldest first: {time, type, reason, note}."""
        with _told():
            answer = self._events.list_namespaced_event(
                self.namespace, field_selector=f"regarding.kind=ProRLJob,regarding.name={name}"
            )
        found = [
            {
                "time": event.event_time or event.deprecated_last_timestamp,
                "type": event.type,
                "reason": event.reason,
                "note": event.note,
            }
            for event in answer.items
        ]
        return sorted(found, key=lambda event: str(event["time"]))

    def pod_names(self, name: str, role: str, index: int) -> list[str]:
        """Pods of one place of a role, the newest incarnation last."""
        selector = f"prorl.dev/job={name},prorl.dev/role={role}"
        with _told():
            pods = self._core.list_namespaced_pod(self.namespace, label_selector=selector).items
        pods.sort(key=lambda pod: str(pod.metadata.creation_timestamp))
        names = [str(pod.metadata.name) for pod in pods]
        return [n for n in names if n.startswith(f"{name}-{role}-{index}-")]

    def log_lines(self, pod: str, *, follow: bool, tail: int | None) -> Iterator[str]:
        """Lines of the pod's log."""
        with _told():
            answer = self._core.read_namespaced_pod_log(
                pod, self.namespace, follow=follow, tail_lines=tail, _preload_content=False
            )
            rest = b""
            for chunk in answer.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if rest:
                yield rest.decode(errors="replace")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise click.ClickException(_words(error)) from error
    except HTTPError as error:
        raise click.ClickException(f"the API server cannot be reached: {error}") from error


def _words(error: ApiException) -> str:
    """The message of the API server's Status object."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"HTTP {error.status} {error.reason}"
