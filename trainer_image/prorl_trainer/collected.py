"""The groups of one step, from the first draw to those that are learned from and those left over.

In the end every prompt that was drawn is in one place only: learned from, found without a signal,
carried, or to be drawn again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prorl_trainer.algo.dynamic_sampling import has_signal
from prorl_trainer.algo.staleness import drop_stale, oldest
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.protocols import PromptSource
from prorl_trainer.types import CarriedGroup, Group


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """One generation round, in the order of the prompts."""

    groups: list[Group]
    generate_seconds: float
    """Time until the last completion; verification of others overlaps it."""
    verify_seconds: float
    """Time from the last completion to the last verdict."""
    verify_latencies: tuple[float, ...] = ()
    """Seconds from each group's last completion to its verdicts, for those drawn just now."""
    replayed: frozenset[int] = frozenset()
    """Ordinals of the groups that were taken from the journal."""


@dataclass(kw_only=True, slots=True)
class Collected:
    """What a step has drawn so far, and where its prompts come from."""

    step: int
    """Finished steps when it is learned from; ages of tokens are counted from here."""
    next_ordinal: int
    returned: list[int] = field(default_factory=list)
    """Earlier ordinals that are drawn before any new one."""
    kept: list[Group] = field(default_factory=list)
    """Groups with a signal, in the order of their prompts once `fill` is done."""
    drawn: list[Group] = field(default_factory=list)
    """All groups of this step's rounds, the kept ones included."""
    num_usable: int = 0
    """Of these, groups with a signal."""
    carried: list[Group] = field(default_factory=list)
    """Groups with a signal that are left for the next step."""
    rounds: int = 0
    stale_dropped: int = 0
    """Completions too old to learn from."""
    surplus_dropped: int = 0
    """Groups with a signal that neither this step nor the next one may take."""
    generate_seconds: float = 0.0
    """Time until the last completion, summed over rounds; verification of others overlaps it."""
    verify_seconds: float = 0.0
    """Time from the last completion to the last verdict, summed over rounds."""
    verify_latencies: list[float] = field(default_factory=list)
    """Seconds from each group's last completion to its verdicts."""
    replayed: frozenset[int] = frozenset()
    """Ordinals of the drawn groups that were taken from the journal."""

    def next_prompts(self, number: int) -> list[int]:
        """Takes that many ordinals out: those that came back first."""
        again, self.returned = self.returned[:number], self.returned[number:]
        new = range(self.next_ordinal, self.next_ordinal + number - len(again))
        self.next_ordinal = new.stop
        return [*again, *new]

    def add(self, drawn: Drawn, *, keep_all: bool) -> None:
        """Adds a round; keeps the groups with a signal, or every one that was judged."""
        self.rounds += 1
        self.drawn += drawn.groups
        found = [g for g in drawn.groups if usable(g, keep_all=keep_all)]
        self.kept += found
        self.num_usable += len(found)
        self.generate_seconds += drawn.generate_seconds
        self.verify_seconds += drawn.verify_seconds
        self.verify_latencies += drawn.verify_latencies
        self.replayed |= drawn.replayed

    def give_back(self, groups: Sequence[Group]) -> None:
        """Their prompts are to be drawn again."""
        self.returned = sorted([*self.returned, *(g.prompt.ordinal for g in groups)])

    def drop_stale(self, *, max_staleness: int, keep_all: bool) -> None:
        """Takes out what is too old; a group without a signal in what is left goes back."""
        whole = self.kept
        fresh = [drop_stale(g, step=self.step, max_staleness=max_staleness) for g in whole]
        self.stale_dropped += sum(
            len(g.completions) - len(f.completions) for g, f in zip(whole, fresh, strict=True)
        )
        self.kept = [g for g in fresh if usable(g, keep_all=keep_all)]
        self.give_back([g for g in fresh if not usable(g, keep_all=keep_all)])

    def take(self, wanted: int, *, max_staleness: int) -> None:
        """Leaves the first `wanted` groups; of the others those that the next step may learn from
        are carried, and the prompts of the rest are given back."""
        groups = sorted(self.kept, key=lambda g: g.prompt.ordinal)
        self.kept, surplus = groups[:wanted], groups[wanted:]
        ages = [oldest(g.completions, self.step + 1) for g in surplus]
        rows = list(zip(surplus, ages, strict=True))
        self.carried = [g for g, age in rows if age <= max_staleness]
        dropped = [g for g, age in rows if age > max_staleness]
        self.surplus_dropped += len(dropped)
        self.give_back(dropped)

    @property
    def frontier(self) -> dict[str, Any]:
        """The fields of RunState after the step that takes `kept`."""
        carried = tuple(
            CarriedGroup(ordinal=g.prompt.ordinal, completions=g.completions, verdicts=g.verdicts)
            for g in self.carried
        )
        return {
            "next_ordinal": self.next_ordinal,
            "returned": self.returned,
            "carried": carried,
        }


def usable(group: Group, *, keep_all: bool) -> bool:
    """True if the group may be learned from."""
    scores = [score for _, score in group.trainable]
    return (keep_all and bool(scores)) or has_signal(scores)


def begin(state: RunState, prompts: PromptSource) -> Collected:
    """The collection for the step after state.step: what was carried is there already."""
    carried = [
        Group(prompt=prompts.prompt(c.ordinal), completions=c.completions, verdicts=c.verdicts)
        for c in state.carried
    ]
    return Collected(
        step=state.step,
        next_ordinal=state.next_ordinal,
        returned=list(state.returned),
        kept=carried,
    )
