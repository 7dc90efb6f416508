"""Leader election by Lease: the one who holds it reconciles, the others wait."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from prorl_operator.errors import ApiError, LeadershipLost
from prorl_operator.kube.client import KubeClient, Manifest

log = logging.getLogger("prorl_operator")

LEASE_NAME = "prorl-operator"
DURATION_S = 15.0
"""A holder that has not renewed for so long is dead."""
RENEW_S = 4.0
DEADLINE_S = 10.0
"""The holder gives up before others may take over."""


class LeaderLease:
    """Time is taken from this process's own clock: others' clocks may be wrong."""

    def __init__(self, client: KubeClient, *, namespace: str, identity: str) -> None:
        self._client = client
        self._namespace = namespace
        self._identity = identity
        self._seen: tuple[str, float] = ("", 0.0)
        """Resource version of somebody's Lease, and when it was first seen."""

    async def acquire(self, stands_by: Callable[[], None]) -> None:
        """Returns once the Lease is held. `stands_by` is called while somebody else holds it."""
        while not await self._try_to_take():
            if self._is_somebody_elses():
                stands_by()
            await asyncio.sleep(RENEW_S / 2)
        log.info("lease taken namespace=%s identity=%s", self._namespace, self._identity)

    async def keep(self) -> None:
        """Renews until that fails for too long. Raises LeadershipLost."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(RENEW_S)
            if await self._try_to_take():
                renewed = time.monotonic()
            elif self._is_somebody_elses() or time.monotonic() - renewed > DEADLINE_S:
                raise LeadershipLost(f"Lease {self._namespace}/{LEASE_NAME} was lost.")

    async def release(self) -> None:
        """Lets the next one take over at once."""
        try:
            lease = await self._client.get("Lease", self._namespace, LEASE_NAME)
            if lease and lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"]["holderIdentity"] = ""
                await self._client.replace(_complete(lease))
        except ApiError as error:
            log.info("lease not released, it will run out: %s", error)

    def _is_somebody_elses(self) -> bool:
        return self._seen[0] != ""

    async def _try_to_take(self) -> bool:
        try:
            async with asyncio.timeout(DEADLINE_S / 2):
                return await self._take()
        except (ApiError, TimeoutError) as error:
            log.warning("lease request failed: %s", error)
            return False

    async def _take(self) -> bool:
        lease = await self._client.get("Lease", self._namespace, LEASE_NAME)
        if lease is None:
            await self._client.create(_complete(self._renewed({"metadata": {}, "spec": {}})))
        elif not self._may_take(lease):
            return False
        else:
            await self._client.replace(_complete(self._renewed(lease)))
        self._seen = ("", 0.0)
        return True

    def _may_take(self, lease: Manifest) -> bool:
        holder = lease["spec"].get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, time.monotonic())
            return False
        return time.monotonic() - self._seen[1] > DURATION_S

    def _renewed(self, lease: Manifest) -> Manifest:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: TID251 people read it
        old = lease["spec"]
        mine = old.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(DURATION_S),
            "renewTime": now,
            "acquireTime": old.get("acquireTime", now) if mine else now,
            "leaseTransitions": old.get("leaseTransitions", 0) + (not mine),
        }
        meta = lease["metadata"] | {"name": LEASE_NAME, "namespace": self._namespace}
        return lease | {"metadata": meta, "spec": spec}


def _complete(lease: Manifest) -> Manifest:
    return lease | {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
