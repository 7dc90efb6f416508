"""What the process remembers of a job between two passes.

All of it may be lost at any time: it only bridges the lag of the watch and saves requests.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prorl_api.base import KIND
from prorl_api.job import ProRLJob
from prorl_api.status import ProRLJobStatus

from prorl_operator.build.names import Slot
from prorl_operator.plan.actions import PlannedEvent
from prorl_operator.plan.observed import Key, PodView, Problem

Manifest = dict[str, Any]
Child = tuple[str, str]
"""Kind and name."""


Fingerprint = tuple[int, frozenset[tuple[Child, str]]]
"""Generation of the job, and the resource version of each child."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Untold:
    """Of passes that have made pods: what the next one that makes none writes."""

    status: ProRLJobStatus
    events: tuple[PlannedEvent, ...]


@dataclass(kw_only=True, slots=True)
class JobMemory:
    """Of one job, by UID."""

    uid: str
    tokens_applied: bool = False
    tokens_reissued_for: set[str] = field(default_factory=set)
    answers: dict[Child, tuple[Manifest, datetime]] = field(default_factory=dict)
    """What the API server answered to our last write, until the watch has shown it."""
    created: dict[str, tuple[PodView, datetime]] = field(default_factory=dict)
    """Pods that were created, until the watch has shown them."""
    deleted: dict[str, datetime] = field(default_factory=dict)
    """UIDs of pods whose deletion was asked for: the moment when their grace ends."""
    incarnations: dict[Slot, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    status_written_at: datetime | None = None
    job: ProRLJob | None = None
    """As it was read last."""
    settled: Fingerprint | None = None
    """Of the spec and the children that were last found as they should be."""
    untold: Untold | None = None

    @property
    def unshown(self) -> bool:
        """The watch has yet to show something that we have made."""
        return bool(self.created) or any(kind != KIND for kind, _ in self.answers)

    def saw(self, slot: Slot, incarnation: int) -> None:
        """Incarnations only grow."""
        self.incarnations[slot] = max(incarnation, self.incarnations.get(slot, 0))


class Memories:
    """One memory per job; another job of the same name starts without any."""

    def __init__(self) -> None:
        self._by_key: dict[Key, JobMemory] = {}

    def of(self, key: Key, uid: str) -> JobMemory:
        """Makes an empty one where there is none."""
        known = self._by_key.get(key)
        if known is None or known.uid != uid:
            known = self._by_key[key] = JobMemory(uid=uid)
        return known

    def forget(self, key: Key) -> None:
        """The job is gone."""
        self._by_key.pop(key, None)
