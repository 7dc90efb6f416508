"""The only importer of the Kubernetes client: requests by path, typed errors, counted."""

import json
from collections.abc import Callable
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.config import load_incluster_config, load_kube_config

from prorl_operator.errors import ApiError

Manifest = dict[str, Any]
Counter = Callable[[str, int], None]

FIELD_MANAGER = "prorl-operator"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
TIMEOUT = aiohttp.ClientTimeout(total=30)

_PREFIX = {
    "ProRLJob": ("/apis/prorl.dev/v1alpha1", "prorljobs"),
    "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Secret": ("/api/v1", "secrets"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "Event": ("/apis/events.k8s.io/v1", "events"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
}


class KubeClient:
    """Thin on purpose: six verbs on ten kinds."""

    def __init__(self, configuration: Configuration, count: Counter) -> None:
        self._api = ApiClient(configuration)
        self._api.user_agent = FIELD_MANAGER
        self._count = count

    async def close(self) -> None:
        """Closes the connections."""
        await self._api.close()

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """None where there is no such object."""
        try:
            return await self._request("GET", path_of(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list_few(self, kind: str, namespace: str | None) -> list[Manifest]:
        """At most one object: tells whether there is any, and whether the kind is served."""
        answer = await self._request("GET", path_of(kind, namespace), {"limit": "1"})
        return list(answer["items"])

    async def create(self, manifest: Manifest) -> Manifest:
        """Raises ApiError 409 where the name is taken."""
        meta = manifest["metadata"]
        path = path_of(manifest["kind"], meta["namespace"])
        return await self._request("POST", path, {"fieldManager": FIELD_MANAGER}, manifest)

    async def apply(self, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """Server-side apply: creates or repairs; fields of others stay."""
        meta = manifest["metadata"]
        path = path_of(manifest["kind"], meta["namespace"], meta["name"]) + subresource
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._request("PATCH", path, query, manifest, content_type=APPLY)

    async def replace(self, manifest: Manifest) -> Manifest:
        """Raises ApiError 409 where the resource version is not the newest."""
        meta = manifest["metadata"]
        path = path_of(manifest["kind"], meta["namespace"], meta["name"])
        return await self._request("PUT", path, {"fieldManager": FIELD_MANAGER}, manifest)

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Deletes this very object; one that is gone or another one by now is left alone."""
        body = {"preconditions": {"uid": uid}}
        try:
            await self._request("DELETE", path_of(kind, namespace, name), {}, body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def peek_metadata(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Metadata of an object that may be patched but not read (a Secret): the answer to an
        empty patch that is not carried out, without its data."""
        try:
            return await self._request(
                "PATCH",
                path_of(kind, namespace, name),
                {"dryRun": "All", "fieldManager": FIELD_MANAGER},
                {"metadata": {}},
                content_type=MERGE,
                accept=METADATA_ONLY,
            )
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _request(
        self,
        verb: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        **headers: str,
    ) -> Manifest:
        """`headers`: content_type and accept, JSON by default."""
        accept = headers.get("accept", "application/json")
        content = headers.get("content_type", "application/json")
        request = await self._api.param_serialize(
            verb,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        status, text = await self._send(verb, request)
        if not 200 <= status <= 299:
            raise _error(status, text)
        return dict(json.loads(text))

    async def _send(self, verb: str, request: Any) -> tuple[int, bytes]:
        try:
            answer = await self._api.call_api(*request, _request_timeout=TIMEOUT)
            text = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ApiException) as error:
            self._count(verb, 0)
            raise ApiError(status=0, reason=type(error).__name__, message=str(error)) from error
        self._count(verb, answer.status)
        return int(answer.status), bytes(text)


def path_of(kind: str, namespace: str | None, name: str | None = None) -> str:
    """URL path of a collection or an object."""
    prefix, plural = _PREFIX[kind]
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{prefix}{scope}/{plural}" + (f"/{name}" if name else "")


def _error(status: int, text: bytes) -> ApiError:
    try:
        answer = json.loads(text)
        reason, message = str(answer.get("reason", "")), str(answer.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", text[:1024].decode(errors="replace")
    return ApiError(status=status, reason=reason, message=message)


async def load_configuration(kubeconfig: str | None) -> Configuration:
    """From the file, or from the pod's service account."""
    configuration = Configuration()
    if kubeconfig is not None:
        await load_kube_config(kubeconfig, client_configuration=configuration)
    else:
        load_incluster_config(configuration)
    configuration.connection_pool_maxsize = 32
    # Else two threads look for a .netrc and for proxies at every request; kopf does not either.
    configuration.client_session_kwargs = {"trust_env": False}
    return configuration
