"""Events on ProRLJobs. The name is made from the content, so one happening is written once."""

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime

from prorl_api.base import API_VERSION, KIND

from prorl_operator.errors import ApiError
from prorl_operator.kube.client import FIELD_MANAGER, KubeClient, Manifest
from prorl_operator.plan.actions import PlannedEvent
from prorl_operator.plan.observed import Key

log = logging.getLogger("prorl_operator")

NOTE_LIMIT = 1024


class Recorder:
    """Writes Events; a lost one is logged and does not hold anything up."""

    def __init__(self, client: KubeClient, identity: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._identity = identity
        self._clock = clock

    async def record(self, key: Key, uid: str, events: tuple[PlannedEvent, ...]) -> None:
        """In order."""
        for event in events:
            log.info("event namespace=%s job=%s reason=%s note=%s", *key, event.reason, event.note)
            try:
                await self._client.create(self._manifest(key, uid, event))
            except ApiError as error:
                if error.status != 409:
                    log.warning("event lost namespace=%s job=%s error=%s", *key, error)

    def _manifest(self, key: Key, uid: str, event: PlannedEvent) -> Manifest:
        digest = hashlib.sha256(f"{uid}/{event.reason}/{event.identity}".encode()).hexdigest()[:16]
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"namespace": key[0], "name": f"{key[1]}.{digest}"},
            "eventTime": self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": "prorl.dev/operator",
            "reportingInstance": self._identity[:128] or FIELD_MANAGER,
            "action": "Reconcile",
            "reason": event.reason,
            "note": event.note[:NOTE_LIMIT],
            "type": "Warning" if event.warning else "Normal",
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": key[0],
                "name": key[1],
                "uid": uid,
            },
        }
