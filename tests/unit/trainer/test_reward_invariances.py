"""Which changes of the rewards leave the advantages alone, estimator by estimator, and which may
not; and that neither order nor names of groups matter. Batches are drawn, not fixed.
"""

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from prorl_api.spec_algorithm import AdvantageSpec, Estimator, Normalisation
from prorl_trainer.batch import estimate

REWARD = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0])
GROUP = st.lists(st.tuples(REWARD, st.integers(1, 20)), min_size=2, max_size=6)
BATCH = st.lists(GROUP, min_size=1, max_size=4)
"""Groups of (reward, number of tokens)."""
Batch = list[list[tuple[float, int]]]

SPECS = [
    AdvantageSpec(estimator=e, normalisation=n)
    for e in Estimator
    for n in (Normalisation if e.startswith("reinforce") else [Normalisation.TOKEN])
]
NORMALISED = [s for s in SPECS if s.estimator not in (Estimator.RLOO, Estimator.DR_GRPO)]
CENTRED = [s for s in SPECS if s.estimator is not Estimator.REINFORCE_PP]


def name(spec: AdvantageSpec) -> str:
    return f"{spec.estimator}-{spec.normalisation}"


def of(spec: AdvantageSpec, batch: Batch, *, order: Sequence[int] | None = None) -> list[float]:
    """In the order of the batch, however the sequences were handed in."""
    rows = [(r, g, n) for g, group in enumerate(batch) for r, n in group]
    order = range(len(rows)) if order is None else order
    found = estimate(
        spec, rewards=[rows[i][0] for i in order], groups=[rows[i][1] for i in order],
        num_tokens=[rows[i][2] for i in order],
    )  # fmt: skip
    by_row = dict(zip(order, found, strict=True))
    return [by_row[i] for i in range(len(rows))]


def mapped(batch: Batch, scales: Sequence[float], shifts: Sequence[float]) -> Batch:
    """reward · scale + shift, with numbers of each group's own."""
    return [
        [(r * scales[g % len(scales)] + shifts[g % len(shifts)], n) for r, n in group]
        for g, group in enumerate(batch)
    ]


@pytest.mark.parametrize("spec", SPECS, ids=name)
@given(batch=BATCH, shift=st.floats(-50, 50))
def test_one_shift_of_all_rewards_changes_nothing(
    spec: AdvantageSpec, batch: Batch, shift: float
) -> None:
    found = of(spec, mapped(batch, [1.0], [shift]))
    assert found == pytest.approx(of(spec, batch), abs=1e-6)


@pytest.mark.parametrize("spec", NORMALISED, ids=name)
@given(batch=BATCH, scale=st.floats(0.1, 50))
def test_one_scale_of_all_rewards_changes_no_normalised_advantage(
    spec: AdvantageSpec, batch: Batch, scale: float
) -> None:
    found = of(spec, mapped(batch, [scale], [0.0]))
    assert found == pytest.approx(of(spec, batch), abs=1e-6)


@pytest.mark.parametrize("spec", [s for s in SPECS if s not in NORMALISED], ids=name)
@given(batch=BATCH, scale=st.floats(0.1, 50))
def test_an_advantage_that_is_not_normalised_scales_with_the_rewards(
    spec: AdvantageSpec, batch: Batch, scale: float
) -> None:
    found = of(spec, mapped(batch, [scale], [0.0]))
    assert found == pytest.approx([scale * a for a in of(spec, batch)], abs=1e-6)


@pytest.mark.parametrize("spec", SPECS, ids=name)
@given(batch=BATCH)
def test_a_negative_scale_turns_the_sign(spec: AdvantageSpec, batch: Batch) -> None:
    found = of(spec, mapped(batch, [-1.0], [0.0]))
    assert found == pytest.approx([-a for a in of(spec, batch)], abs=1e-6)


@pytest.mark.parametrize("spec", CENTRED, ids=name)
@given(batch=BATCH, shifts=st.lists(st.floats(-20, 20), min_size=2, max_size=4))
def test_a_shift_of_each_group_changes_nothing_where_the_group_is_the_baseline(
    spec: AdvantageSpec, batch: Batch, shifts: list[float]
) -> None:
    found = of(spec, mapped(batch, [1.0], shifts))
    assert found == pytest.approx(of(spec, batch), abs=1e-6)


@given(batch=BATCH, scales=st.lists(st.floats(0.1, 20), min_size=2, max_size=4))
def test_a_scale_of_each_group_changes_nothing_in_grpo_alone(
    batch: Batch, scales: list[float]
) -> None:
    grpo = AdvantageSpec(estimator=Estimator.GRPO)
    assert of(grpo, mapped(batch, scales, [0.0])) == pytest.approx(of(grpo, batch), abs=1e-6)


TWO = [[(1.0, 3), (0.0, 2)], [(1.0, 1), (0.0, 4), (0.0, 2)]]


def differs(spec: AdvantageSpec, changed: Batch) -> bool:
    return of(spec, changed) != pytest.approx(of(spec, TWO), abs=1e-3)


def test_what_may_not_be_ignored_is_not() -> None:
    """The spread between groups is signal for REINFORCE++ without baseline; how hard a group is
    counts for every estimator but GRPO."""
    assert all(
        differs(s, mapped(TWO, [1.0], [0.0, 2.0])) for s in SPECS if s not in CENTRED
    )  # fmt: skip
    assert all(
        differs(s, mapped(TWO, [1.0, 3.0], [0.0])) is (s.estimator is not Estimator.GRPO)
        for s in SPECS
    )


@pytest.mark.parametrize("spec", SPECS, ids=name)
@given(batch=BATCH, rng=st.randoms(use_true_random=False))
def test_order_and_mixture_of_sequences_do_not_matter(
    spec: AdvantageSpec, batch: Batch, rng: random.Random
) -> None:
    order = list(range(sum(map(len, batch))))
    rng.shuffle(order)
    assert of(spec, batch, order=order) == pytest.approx(of(spec, batch), abs=1e-9)


@pytest.mark.parametrize("spec", CENTRED, ids=name)
@given(batch=BATCH)
def test_a_better_sample_of_a_group_never_has_the_smaller_advantage(
    spec: AdvantageSpec, batch: Batch
) -> None:
    found = iter(of(spec, batch))
    for group in batch:
        pairs = sorted((reward, next(found)) for reward, _ in group)
        advantages = [a for _, a in pairs]
        assert all(b >= a - 1e-9 for a, b in itertools.pairwise(advantages))


@pytest.mark.parametrize("spec", NORMALISED, ids=name)
@given(batch=BATCH, tiny=st.floats(1e-7, 1e-5))
def test_rounding_noise_is_no_signal(spec: AdvantageSpec, batch: Batch, tiny: float) -> None:
    """Below the floor of the variance nothing is blown up to full size."""
    assume(len({r for group in batch for r, _ in group}) > 1)
    found = of(spec, mapped(batch, [tiny], [0.5]))
    assert max(map(abs, found)) < 0.5
