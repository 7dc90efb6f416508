"""The job's tally of faults.

Every pod carries the tally as it stood when the pod was made, so counting survives a crash of the
operator between two writes, and nothing is counted twice.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from prorl_api.spec_roles import Role

ANNOTATION = "prorl.dev/ledger"
ONE_FAULT_S = 30
"""Ends of pods within so many seconds, of pods that were there when the first one ended, have one
cause: a node that goes takes all its pods, and a rank that is lost may take others along."""
LATE_S = 600
"""A fault that is seen later than another one was no more than that before it: a moment from longer
ago is of a clock that has gone back."""
BOUNDED = (Role.COORDINATOR, Role.TRAINER)
"""Roles without which no training goes on."""


class Cause(StrEnum):
    """Why a pod was replaced."""

    FAILURE = "failure"
    """It failed: charged to runPolicy.maxRestarts in a bounded role."""
    DISRUPTION = "disruption"
    """Something outside the job took it."""
    DELETION = "deletion"
    """As DISRUPTION, unless it only tidies up after a failure."""
    END = "end"
    """It ended, and that is no failure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """The end of one pod."""

    role: Role
    cause: Cause
    at: datetime
    at_earliest: datetime | None = None
    """Where nobody saw when it began: not before this."""
    pod_since: datetime | None = None
    """When the pod was made; None: before all that is remembered."""


class Last(StrEnum):
    """Kinds of faults whose moment is remembered."""

    FAILURE = "failure"
    DISRUPTION = "disruption"
    HELPER = "helper"
    """Disruption of a role that is not bounded."""


_JOINS = {
    Cause.FAILURE: (Last.FAILURE, Last.DISRUPTION),
    Cause.END: (Last.FAILURE, Last.DISRUPTION),
    Cause.DISRUPTION: (Last.DISRUPTION, Last.HELPER),
    Cause.DELETION: (Last.DISRUPTION, Last.HELPER, Last.FAILURE),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """Numbers that only grow."""

    restarts: int = 0
    """Faults, disruptions apart, after which pods of coordinator and trainer were replaced."""
    counted: int = 0
    """Those of them that were failures."""
    disruptions: int = 0
    """Times that something outside the job took pods of any role."""
    failed: Mapping[Role, int] = field(default_factory=dict)
    """Replaced pods per role that had failed."""
    last: Mapping[Last, int] = field(default_factory=dict)
    """Unix seconds of the last fault of each kind."""

    def is_new(self, fault: Fault) -> bool:
        """It is no part of a fault that is in the tally already."""
        joins = _JOINS[fault.cause if fault.role in BOUNDED else Cause.DISRUPTION]
        return not any(_is_part(fault, self.last.get(kind)) for kind in joins)

    def with_fault(self, fault: Fault) -> "Ledger":
        """The tally after the pod was replaced."""
        failed = fault.cause is Cause.FAILURE
        tally = replace(self, failed=_one_more(self.failed, fault.role)) if failed else self
        if not self.is_new(fault):
            return tally
        bounded = fault.role in BOUNDED
        if fault.cause in (Cause.DISRUPTION, Cause.DELETION):
            last = self._moved(Last.DISRUPTION if bounded else Last.HELPER, fault.at)
            return replace(tally, disruptions=self.disruptions + 1, last=last)
        if not bounded:
            return tally
        last = self._moved(Last.FAILURE, fault.at) if failed else dict(self.last)
        return replace(tally, restarts=self.restarts + 1, counted=self.counted + failed, last=last)

    def without(self, other: "Ledger") -> "Ledger":
        """The tally if what `other` has added to it had not happened."""
        failed = {role: n - other.failed.get(role, 0) for role, n in self.failed.items()}
        return Ledger(
            restarts=self.restarts - other.restarts,
            counted=self.counted - other.counted,
            disruptions=self.disruptions - other.disruptions,
            failed={role: n for role, n in failed.items() if n},
            last={kind: at for kind, at in self.last.items() if at != other.last.get(kind)},
        )

    def dumps(self) -> str:
        """Text of the annotation."""
        document = {
            "counted": self.counted,
            "disruptions": self.disruptions,
            "failed": {str(role): self.failed[role] for role in sorted(self.failed)},
            "last": {str(kind): self.last[kind] for kind in sorted(self.last)},
            "restarts": self.restarts,
        }
        return json.dumps(document, separators=(",", ":"))

    def _moved(self, kind: Last, at: datetime) -> dict[Last, int]:
        moment, before = int(at.timestamp()), self.last.get(kind, 0)
        return {**self.last, kind: moment if before - moment > LATE_S else max(moment, before)}

    def number(self, kind: Last) -> int:
        """How many faults have moved that moment, or one that moves with it."""
        return self.counted if kind is Last.FAILURE else self.disruptions


def parse_ledger(text: str | None) -> Ledger:
    """An absent or damaged annotation counts nothing: the status holds the numbers too."""
    try:
        document = json.loads(text or "{}")
        return Ledger(
            restarts=int(document.get("restarts", 0)),
            counted=int(document.get("counted", 0)),
            disruptions=int(document.get("disruptions", 0)),
            failed={Role(role): int(n) for role, n in document.get("failed", {}).items()},
            last={Last(kind): int(at) for kind, at in document.get("last", {}).items()},
        )
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return Ledger()


def latest(ledgers: Iterable[Ledger]) -> Ledger:
    """The highest of each number, and the moments that belong to them."""
    known = [Ledger(), *ledgers]
    return Ledger(
        restarts=max(ledger.restarts for ledger in known),
        counted=max(ledger.counted for ledger in known),
        disruptions=max(ledger.disruptions for ledger in known),
        failed={
            role: top
            for role in Role
            if (top := max(ledger.failed.get(role, 0) for ledger in known))
        },
        last={kind: at for kind in Last if (at := _latest_moment(kind, known)) is not None},
    )


def _latest_moment(kind: Last, known: Sequence[Ledger]) -> int | None:
    """By the number of faults, which no clock turns back. A tally may not know its moments."""
    _, at = max((one.number(kind), one.last.get(kind, -1)) for one in known)
    return at if at >= 0 else None


def _is_part(fault: Fault, begun: int | None) -> bool:
    if begun is None:
        return False
    was_there = fault.pod_since is None or fault.pod_since.timestamp() < begun
    earliest = (fault.at_earliest or fault.at).timestamp() - ONE_FAULT_S
    return was_there and earliest <= begun <= fault.at.timestamp() + ONE_FAULT_S


def _one_more(failed: Mapping[Role, int], role: Role) -> dict[Role, int]:
    return {**failed, role: failed.get(role, 0) + 1}
