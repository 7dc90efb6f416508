"""Dynamic sampling over many steps: no prompt is lost or used twice, whatever stops in between."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_trainer.algo.dynamic_sampling import num_to_draw
from prorl_trainer.algo.staleness import (
    ages,
    drop_stale,
    oldest,
    refuse_other,
    staleness_metrics,
    version_name,
    version_step,
)
from prorl_trainer.checkpoint.documents import documents, parse_state
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.collect import rollout_metrics
from prorl_trainer.collected import Collected
from prorl_trainer.errors import WeightSyncError
from prorl_trainer.types import Completion, FinishReason, Group, Verdict
from scripted_rollout import START, World, after, chance, make_spec, ordinals
from virtual_clock import run

STEPS = 6


def saved_and_loaded(state: RunState) -> RunState:
    """Through the documents of a checkpoint."""
    return parse_state(documents(state))


async def run_with_stops(
    world: World, *, staleness: int, oversample: float, stops: dict[int, int]
) -> tuple[RunState, list[Collected]]:
    """Trains; after step n the run is ended stops[n] times, and goes on from the checkpoint of the
    step that it last finished."""
    spec = make_spec(staleness=staleness, oversample=oversample, steps=STEPS)
    state, history, left = START, [], dict(stops)
    collector = world.collector(spec)
    while state.step < STEPS:
        out = await collector.collect(state)
        if left.get(state.step, 0) > 0:  # it ends in the middle of the step that `out` was for
            left[state.step] -= 1
            await collector.close()
            state, collector = saved_and_loaded(state), world.collector(spec)
            continue
        state = after(state, out)
        world.version = state.step
        history.append(out)
    await collector.close()
    return state, history


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    staleness=st.sampled_from([0, 1]),
    oversample=st.sampled_from([1.0, 1.3, 2.0, 4.0]),
    stops=st.dictionaries(st.integers(0, STEPS - 1), st.integers(1, 2), max_size=4),
)
def test_no_prompt_is_lost_or_learned_from_twice_over_any_stops(
    seed: int, staleness: int, oversample: float, stops: dict[int, int]
) -> None:
    world = World(
        has_signal=lambda ordinal, version: chance(seed, ordinal, version) < 0.6,
        seconds=lambda r: chance(seed, r.request_id),
    )
    (state, history), _ = run(
        run_with_stops(world, staleness=staleness, oversample=oversample, stops=stops)
    )
    trained = [ordinal for out in history for ordinal in ordinals(out.kept)]
    waiting = [c.ordinal for c in state.carried]
    places = trained + waiting + state.returned
    assert len(places) == len(set(places)), "in two places"
    silent = {
        group.prompt.ordinal
        for out in history
        for group in out.drawn
        if len(set(group.scores)) == 1
    }
    missing = set(range(state.next_ordinal)) - set(places)
    assert missing <= silent, "lost"
    assert all(out.kept == sorted(out.kept, key=lambda g: g.prompt.ordinal) for out in history)
    assert all(len(out.kept) == 4 for out in history)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    oversample=st.sampled_from([1.0, 1.5, 4.0]),
    stops=st.dictionaries(st.integers(0, STEPS - 1), st.integers(1, 2), max_size=4),
)
def test_without_staleness_stops_change_nothing(
    seed: int, oversample: float, stops: dict[int, int]
) -> None:
    def whole(stops: dict[int, int]) -> tuple[RunState, list[list[Group]]]:
        world = World(has_signal=lambda ordinal, version: chance(seed, ordinal, version) < 0.5)
        (state, history), _ = run(
            run_with_stops(world, staleness=0, oversample=oversample, stops=stops)
        )
        return state, [out.kept for out in history]

    assert whole(stops) == whole({})


def test_surplus_is_carried_where_a_step_may_be_stale_and_drawn_again_where_not() -> None:
    def second_step(staleness: int) -> tuple[Collected, Collected]:
        world = World()
        (_, history), _ = run(run_with_stops(world, staleness=staleness, oversample=1.5, stops={}))
        return history[0], history[1]

    first, second = second_step(1)
    assert ordinals(first.kept) == [0, 1, 2, 3]
    assert ordinals(first.carried) == [4, 5]
    assert rollout_metrics(first)["carried"] == 2
    assert rollout_metrics(first)["surplus_dropped"] == 0
    assert ordinals(second.kept) == [4, 5, 6, 7]
    assert ordinals(second.drawn) == [6, 7, 8], "half as many again as are missing"

    first, second = second_step(0)
    assert ordinals(first.carried) == []
    assert first.surplus_dropped == 2
    assert first.returned == [4, 5]
    assert ordinals(second.kept) == [4, 5, 6, 7]
    assert ordinals(second.drawn) == [4, 5, 6, 7, 8, 9]
    assert staleness_metrics(second.kept, 1)["staleness_max"] == 0


def test_a_step_that_lives_on_what_was_carried_measures_that_and_counts_it_once() -> None:
    (_, history), _ = run(run_with_stops(World(), staleness=1, oversample=4.0, stops={}))
    values = rollout_metrics(history[1])
    assert (values["rounds"], values["tokens"], values["staleness_max"]) == (0, 0, 1)
    assert values["reward_mean"] == 0.5
    assert values["response_tokens_mean"] == 8
    assert "kept_ratio" not in values


@pytest.mark.parametrize(
    ("missing", "factor", "expected"), [(3, 1.0, 3), (1, 1.5, 2), (10, 1.25, 13), (0, 4.0, 0)]
)
def test_a_round_draws_the_factor_rounded_up(missing: int, factor: float, expected: int) -> None:
    assert num_to_draw(num_missing=missing, oversample=factor) == expected


def make_completion(versions: tuple[str, ...], starts: tuple[int, ...], tokens: int) -> Completion:
    return Completion(
        request_id="r", token_ids=(2,) * tokens, mask=(True,) * tokens,
        logprobs=(-1.0,) * tokens, finish_reason=FinishReason.STOP, text="",
        weight_versions=versions, weight_starts=starts,
    )  # fmt: skip


def test_the_age_of_a_token_is_that_of_its_span() -> None:
    mixed = make_completion(("1-3", "2-4", "2-6"), (0, 5, 7), 8)
    assert ages(mixed, 6) == [(5, 3), (2, 2), (1, 0)]
    assert oldest([mixed], 6) == 3
    group = Group(prompt=World().prompt(0), completions=(mixed,), verdicts=(Verdict(score=1.0),))
    assert staleness_metrics([group], 6) == {"staleness_mean": 19 / 8, "staleness_max": 3.0}
    assert staleness_metrics([], 6) == {"staleness_mean": 0.0, "staleness_max": 0.0}


def test_one_token_over_the_bound_costs_its_completion_and_no_other() -> None:
    old, fresh = make_completion(("1-3", "1-5"), (0, 1), 8), make_completion(("1-4",), (0,), 8)
    verdicts = (Verdict(score=1.0), Verdict(score=0.0))
    group = Group(prompt=World().prompt(0), completions=(old, fresh), verdicts=verdicts)
    left = drop_stale(group, step=5, max_staleness=1)
    assert left == replace(group, completions=(fresh,), verdicts=verdicts[1:])
    assert drop_stale(group, step=5, max_staleness=2) == group


def test_versions_name_the_step_and_what_no_learner_has_sent_is_refused() -> None:
    assert version_step(version_name(12, 345)) == 345
    with pytest.raises(WeightSyncError, match="'initial'"):
        version_step("initial")
    refuse_other([make_completion(("1-4",), (0,), 2)], "1-4")
    with pytest.raises(WeightSyncError, match=r"r was written by .*1-3.*, must be 1-4"):
        refuse_other([make_completion(("1-3", "1-4"), (0, 1), 2)], "1-4")
