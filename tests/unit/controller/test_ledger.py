"""The tally of replaced pods: it only grows, and nothing in it counts twice."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prorl_api.spec_roles import Role
from prorl_operator.build.ledger import Ledger, latest, parse_ledger

NUMBERS = st.integers(0, 1000)
LEDGERS = st.builds(
    Ledger,
    restarts=NUMBERS,
    counted=NUMBERS,
    failed=st.dictionaries(st.sampled_from(Role), st.integers(1, 1000)),
)
REPLACEMENTS = st.lists(st.tuples(st.sampled_from(Role), st.booleans()))


def tally_of(replacements: list[tuple[Role, bool]]) -> list[Ledger]:
    tallies = [Ledger()]
    for role, failed in replacements:
        tallies.append(tallies[-1].with_replacement(role, failed=failed))
    return tallies


@pytest.mark.parametrize(
    ("role", "failed", "expected"),
    [
        (Role.COORDINATOR, True, Ledger(restarts=6, counted=3, failed={Role.COORDINATOR: 1})),
        (Role.TRAINER, True, Ledger(restarts=6, counted=3, failed={Role.TRAINER: 1})),
        (Role.TRAINER, False, Ledger(restarts=6, counted=2)),
        (Role.ROLLOUT, True, Ledger(restarts=5, counted=2, failed={Role.ROLLOUT: 1})),
        (Role.VERIFIER, False, Ledger(restarts=5, counted=2)),
    ],
)
def test_only_failures_of_coordinator_and_trainer_count(
    role: Role, failed: bool, expected: Ledger
) -> None:
    assert Ledger(restarts=5, counted=2).with_replacement(role, failed=failed) == expected


@given(REPLACEMENTS)
def test_every_replacement_is_counted_exactly_once(
    replacements: list[tuple[Role, bool]],
) -> None:
    tally = tally_of(replacements)[-1]
    bounded = [failed for role, failed in replacements if role in ("coordinator", "trainer")]
    assert (tally.restarts, tally.counted) == (len(bounded), sum(bounded))
    for role in Role:
        assert tally.failed.get(role, 0) == replacements.count((role, True))


@given(LEDGERS)
def test_a_tally_survives_its_annotation(ledger: Ledger) -> None:
    assert parse_ledger(ledger.dumps()) == ledger


def test_the_annotation_is_one_text_per_tally() -> None:
    failed = {Role.VERIFIER: 1, Role.COORDINATOR: 2}
    expected = '{"counted":2,"failed":{"coordinator":2,"verifier":1},"restarts":5}'
    assert Ledger(restarts=5, counted=2, failed=failed).dumps() == expected
    again = dict(reversed(failed.items()))
    assert Ledger(restarts=5, counted=2, failed=again).dumps() == expected


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


@given(REPLACEMENTS, st.randoms(use_true_random=False), st.data())
def test_the_newest_tally_is_found_among_any_that_are_left(
    replacements: list[tuple[Role, bool]], random: object, data: st.DataObject
) -> None:
    tallies = tally_of(replacements)
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


@given(REPLACEMENTS)
def test_a_tally_never_shrinks(replacements: list[tuple[Role, bool]]) -> None:
    for before, after in pairwise(tally_of(replacements)):
        assert latest([before, after]) == after


def test_no_tally_at_all_is_nothing() -> None:
    assert latest([]) == Ledger()
