"""The tally of replaced pods: it only grows, and nothing in it counts twice."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from controller_builders import ago, counts
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.spec_roles import Role
from prorl_operator.build.ledger import (
    BOUNDED,
    ONE_FAULT_S,
    Cause,
    Fault,
    Last,
    Ledger,
    latest,
    parse_ledger,
)

NUMBERS = st.integers(0, 1000)
LEDGERS = st.builds(
    Ledger,
    restarts=NUMBERS,
    counted=NUMBERS,
    disruptions=NUMBERS,
    failed=st.dictionaries(st.sampled_from(Role), st.integers(1, 1000)),
    last=st.dictionaries(st.sampled_from(Last), st.integers(1, 2_000_000_000)),
)
FAULTS = st.lists(
    st.builds(
        Fault,
        role=st.sampled_from(Role),
        cause=st.sampled_from(Cause),
        at=st.integers(-300, 0).map(lambda s: ago(-s)),
        pod_since=st.none() | st.integers(0, 400).map(ago),
    )
)
SPREAD_S = 3 * ONE_FAULT_S
DISRUPTIONS = (Cause.DISRUPTION, Cause.DELETION)


def tallies_of(faults: list[Fault]) -> list[Ledger]:
    tallies = [Ledger()]
    for fault in faults:
        tallies.append(tallies[-1].with_fault(fault))
    return tallies


def make_fault(cause: Cause, role: Role = Role.TRAINER, *, age_s: float = 0, **more: Any) -> Fault:
    return Fault(role=role, cause=cause, at=ago(age_s), **({"pod_since": ago(3600)} | more))


@pytest.mark.parametrize(
    ("role", "cause", "expected"),
    [
        (Role.COORDINATOR, Cause.FAILURE,
         Ledger(restarts=6, counted=3, failed={Role.COORDINATOR: 1})),
        (Role.TRAINER, Cause.FAILURE, Ledger(restarts=6, counted=3, failed={Role.TRAINER: 1})),
        (Role.TRAINER, Cause.END, Ledger(restarts=6, counted=2)),
        (Role.TRAINER, Cause.DISRUPTION, Ledger(restarts=5, counted=2, disruptions=1)),
        (Role.COORDINATOR, Cause.DELETION, Ledger(restarts=5, counted=2, disruptions=1)),
        (Role.ROLLOUT, Cause.FAILURE, Ledger(restarts=5, counted=2, failed={Role.ROLLOUT: 1})),
        (Role.ROLLOUT, Cause.DISRUPTION, Ledger(restarts=5, counted=2, disruptions=1)),
        (Role.VERIFIER, Cause.END, Ledger(restarts=5, counted=2)),
    ],
)  # fmt: skip
def test_every_cause_has_its_own_number(role: Role, cause: Cause, expected: Ledger) -> None:
    tally = Ledger(restarts=5, counted=2).with_fault(make_fault(cause, role))
    assert counts(tally) == expected


@given(FAULTS)
def test_faults_far_apart_are_counted_once_each(faults: list[Fault]) -> None:
    apart = [replace(f, at=ago(-i * SPREAD_S)) for i, f in enumerate(faults)]
    tally = tallies_of(apart)[-1]
    bounded = [f.cause for f in faults if f.role in BOUNDED and f.cause not in DISRUPTIONS]
    assert (tally.restarts, tally.counted) == (len(bounded), bounded.count(Cause.FAILURE))
    assert tally.disruptions == sum(f.cause in DISRUPTIONS for f in faults)


@given(FAULTS)
def test_every_failed_pod_is_told_by_role(faults: list[Fault]) -> None:
    tally = tallies_of(faults)[-1]
    failed = [f.role for f in faults if f.cause is Cause.FAILURE]
    for role in Role:
        assert tally.failed.get(role, 0) == failed.count(role)


@given(FAULTS, LEDGERS)
def test_no_disruption_is_ever_charged(faults: list[Fault], before: Ledger) -> None:
    tally = before
    for fault in faults:
        if fault.cause in DISRUPTIONS:
            tally = tally.with_fault(fault)
    assert (tally.restarts, tally.counted, tally.failed) == (
        before.restarts, before.counted, before.failed,
    )  # fmt: skip


JOINED: dict[str, tuple[Fault, Fault, Ledger]] = {
    "a node takes two trainers": (
        make_fault(Cause.DISRUPTION, age_s=30), make_fault(Cause.DISRUPTION),
        Ledger(disruptions=1),
    ),
    "a rank takes the next along": (
        make_fault(Cause.FAILURE, age_s=30), make_fault(Cause.FAILURE),
        Ledger(restarts=1, counted=1, failed={Role.TRAINER: 2}),
    ),
    "seen in the other order": (
        make_fault(Cause.FAILURE), make_fault(Cause.FAILURE, age_s=30),
        Ledger(restarts=1, counted=1, failed={Role.TRAINER: 2}),
    ),
    "a trainer fails because another was evicted": (
        make_fault(Cause.DISRUPTION, age_s=10), make_fault(Cause.FAILURE),
        Ledger(disruptions=1, failed={Role.TRAINER: 1}),
    ),
    "somebody tidies up after a failure": (
        make_fault(Cause.FAILURE, age_s=10), make_fault(Cause.DELETION),
        Ledger(restarts=1, counted=1, failed={Role.TRAINER: 1}),
    ),
    "an eviction after a failure is one": (
        make_fault(Cause.FAILURE, age_s=10), make_fault(Cause.DISRUPTION),
        Ledger(restarts=1, counted=1, disruptions=1, failed={Role.TRAINER: 1}),
    ),
    "a rollout goes with a trainer": (
        make_fault(Cause.DISRUPTION), make_fault(Cause.DISRUPTION, Role.ROLLOUT),
        Ledger(disruptions=1),
    ),
    "an evicted rollout excuses no trainer": (
        make_fault(Cause.DISRUPTION, Role.ROLLOUT), make_fault(Cause.FAILURE),
        Ledger(restarts=1, counted=1, disruptions=1, failed={Role.TRAINER: 1}),
    ),
    "later than one fault lasts": (
        make_fault(Cause.FAILURE, age_s=ONE_FAULT_S + 1), make_fault(Cause.FAILURE),
        Ledger(restarts=2, counted=2, failed={Role.TRAINER: 2}),
    ),
    "a replacement that fails at once": (
        make_fault(Cause.FAILURE, age_s=10), make_fault(Cause.FAILURE, pod_since=ago(9)),
        Ledger(restarts=2, counted=2, failed={Role.TRAINER: 2}),
    ),
    "a pod that nobody saw go within its grace period": (
        make_fault(Cause.DISRUPTION, age_s=300),
        make_fault(Cause.DELETION, pod_since=None, at_earliest=ago(310)),
        Ledger(disruptions=1),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("first", "then", "expected"), JOINED.values(), ids=JOINED)
def test_one_fault_counts_once(first: Fault, then: Fault, expected: Ledger) -> None:
    assert counts(tallies_of([first, then])[-1]) == expected


@given(LEDGERS)
def test_a_tally_survives_its_annotation(ledger: Ledger) -> None:
    assert parse_ledger(ledger.dumps()) == ledger


def test_the_annotation_is_one_text_per_tally() -> None:
    failed = {Role.VERIFIER: 1, Role.COORDINATOR: 2}
    last = {Last.HELPER: 3, Last.FAILURE: 4}
    expected = (
        '{"counted":2,"disruptions":1,"failed":{"coordinator":2,"verifier":1},'
        '"last":{"failure":4,"helper":3},"restarts":5}'
    )
    for mine, moments in [(failed, last), (_reversed(failed), _reversed(last))]:
        tally = Ledger(restarts=5, counted=2, disruptions=1, failed=mine, last=moments)
        assert tally.dumps() == expected


def _reversed(mapping: dict[Any, int]) -> dict[Any, int]:
    return dict(reversed(mapping.items()))


@pytest.mark.parametrize(
    "text",
    [
        None, "", "{}", "no JSON", "[]", "7", "null", '{"restarts":null}', '{"restarts":"x"}',
        '{"restarts":Infinity}', '{"counted":1e999}', '{"restarts":NaN}', '{"failed":[]}',
        '{"failed":{"poet":1}}', '{"failed":{"trainer":Infinity}}', "[" * 100_000,
    ],
    ids=lambda text: str(text)[:20],
)  # fmt: skip
def test_a_missing_or_damaged_annotation_counts_nothing(text: str | None) -> None:
    assert parse_ledger(text) == Ledger()


@given(st.text() | LEDGERS.map(lambda ledger: ledger.dumps()[:-1]))
def test_no_annotation_raises(text: str) -> None:
    parse_ledger(text)


@given(FAULTS, st.randoms(use_true_random=False), st.data())
def test_the_newest_tally_is_found_among_any_that_are_left(
    faults: list[Fault], random: object, data: st.DataObject
) -> None:
    tallies = tallies_of(faults)
    left = data.draw(st.lists(st.sampled_from(tallies)))
    random.shuffle(left)  # type: ignore[attr-defined]
    assert latest([*left, tallies[-1]]) == tallies[-1]


@given(LEDGERS, LEDGERS, LEDGERS)
def test_merging_has_no_order_and_merging_again_changes_nothing(
    one: Ledger, two: Ledger, three: Ledger
) -> None:
    merged = latest([one, two, three])
    assert latest([three, one, two]) == merged
    assert latest([latest([one, two]), three, merged]) == merged


@given(FAULTS)
def test_a_tally_never_shrinks(faults: list[Fault]) -> None:
    for before, after in pairwise(tallies_of(faults)):
        assert latest([before, after]) == after


def test_no_tally_at_all_is_nothing() -> None:
    assert latest([]) == Ledger()


@given(LEDGERS, FAULTS)
def test_what_a_fault_has_added_can_be_taken_away(before: Ledger, faults: list[Fault]) -> None:
    for fault in faults:
        after = before.with_fault(fault)
        assert counts(after.without(after.without(before))) == counts(before)
        assert after.without(after.without(before)).last.items() <= before.last.items()
