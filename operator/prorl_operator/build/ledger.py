"""The job's tally of replaced pods.

Every pod carries the tally as it stood when the pod was made, so counting survives a crash of the
operator between two writes, and nothing is counted twice.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prorl_api.spec_roles import Role

ANNOTATION = "prorl.dev/ledger"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """Numbers that only grow."""

    restarts: int = 0
    """Replaced pods of coordinator and trainer."""
    counted: int = 0
    """Those of them that were failures."""
    failed: Mapping[Role, int] = field(default_factory=dict)
    """Replaced pods per role that had failed."""

    def with_replacement(self, role: Role, *, failed: bool) -> "Ledger":
        """The tally after one more pod of the role was replaced."""
        bounded = role in (Role.COORDINATOR, Role.TRAINER)
        failures = dict(self.failed)
        if failed:
            failures[role] = failures.get(role, 0) + 1
        return Ledger(
            restarts=self.restarts + bounded,
            counted=self.counted + (bounded and failed),
            failed=failures,
        )

    def without(self, other: "Ledger") -> "Ledger":
        """The tally if what `other` has added to it had not happened."""
        failed = {role: n - other.failed.get(role, 0) for role, n in self.failed.items()}
        return Ledger(
            restarts=self.restarts - other.restarts,
            counted=self.counted - other.counted,
            failed={role: n for role, n in failed.items() if n},
        )

    def dumps(self) -> str:
        """Text of the annotation."""
        failed = {str(role): self.failed[role] for role in sorted(self.failed)}
        document = {"counted": self.counted, "failed": failed, "restarts": self.restarts}
        return json.dumps(document, separators=(",", ":"))


def parse_ledger(text: str | None) -> Ledger:
    """An absent or damaged annotation counts nothing: the status holds the numbers too."""
    try:
        document = json.loads(text or "{}")
        return Ledger(
            restarts=int(document.get("restarts", 0)),
            counted=int(document.get("counted", 0)),
            failed={Role(role): int(n) for role, n in document.get("failed", {}).items()},
        )
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return Ledger()


def latest(ledgers: Iterable[Ledger]) -> Ledger:
    """The highest of each number."""
    known = [Ledger(), *ledgers]
    return Ledger(
        restarts=max(ledger.restarts for ledger in known),
        counted=max(ledger.counted for ledger in known),
        failed={
            role: top
            for role in Role
            if (top := max(ledger.failed.get(role, 0) for ledger in known))
        },
    )
