"""Steps with a journal, killed again and again: engines that never draw the same twice, and yet a
finished step is made of what it was made of before, and no finished group is drawn again."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_builders import Unsynced, keys_in, make_completion, make_journal
from loop_parts import make_parts
from prorl_api.job import ProRLJobSpec
from prorl_api.spec_model import ValidationSpec
from prorl_trainer.checkpoint.state import GuardState, RunState
from prorl_trainer.collect import Sampler, draw, rollout_metrics
from prorl_trainer.collected import Collected
from prorl_trainer.journal.journal import Journal
from prorl_trainer.journal.record import group_name
from prorl_trainer.loop import evaluate
from prorl_trainer.throughput import throughput
from prorl_trainer.types import Completion, GenerationRequest, OnCompletion, Prompt, Verdict
from scripted_rollout import SET, START, World, after, chance, make_spec, ordinals

STEPS = 6
SERIAL = itertools.count()


@dataclass
class Dice(World):
    """Engines that never draw the same twice: what comes again must have been kept."""

    until: int = 10**9
    """Completions after which the whole attempt is killed."""
    attempt: "asyncio.Task[None] | None" = None

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        def hand_over(completion: Completion) -> None:
            on_completion(replace(completion, text=str(next(SERIAL))))
            self.until -= 1
            if self.until == 0 and self.attempt is not None:
                self.attempt.cancel()

        await super().generate(requests, hand_over)


@dataclass
class Life:
    """What outlives an attempt."""

    directory: Path
    spec: ProRLJobSpec
    every: int
    """Steps between checkpoints."""
    checkpoints: dict[int, RunState] = field(default_factory=lambda: {0: START})
    learned: dict[int, tuple[object, ...]] = field(default_factory=dict)
    replayed: int = 0
    attempts: int = 0

    async def run(self, until: int) -> None:
        """One attempt. It is killed after so many completions, if it does not end before."""
        self.attempts += 1
        made = make_journal(
            self.directory, self.attempts, staleness=self.spec.rollout.max_staleness,
            files=Unsynced(),
        )  # fmt: skip
        world = Dice(has_signal=lambda o, _: chance(o) < 0.7, until=until, journal=made.journal)
        world.attempt = asyncio.create_task(self._train(world, made.journal))
        await asyncio.wait({world.attempt})
        if not world.attempt.cancelled():
            world.attempt.result()
        made.journal.forget(0).result()  # its thread is done with what it was given
        self.replayed += made.counts["journal_replayed"]

    async def _train(self, world: World, journal: Journal) -> None:
        state = self.checkpoints[max(self.checkpoints)]
        world.version = state.step
        await journal.open(state)
        collector = world.collector(self.spec)
        try:
            while state.step < STEPS:
                out = await collector.collect(state)
                self._learn(state, out)
                await asyncio.sleep(0)
                state = after(state, out)
                world.version = state.step
                if state.step % self.every == 0:
                    self.checkpoints[state.step] = state
                    journal.forget(state.step)
        finally:
            await collector.close()

    def _learn(self, state: RunState, out: Collected) -> None:
        made_of = (out.kept, out.frontier)
        assert self.learned.setdefault(state.step, made_of) == made_of, (
            "it was made of other groups"
        )


@given(
    staleness=st.sampled_from([0, 1]),
    every=st.sampled_from([1, 2, 100]),
    kills=st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
@settings(max_examples=20, deadline=None)
def test_a_run_that_is_killed_at_any_moment_goes_on_with_what_was_finished(
    tmp_path_factory: pytest.TempPathFactory, staleness: int, every: int, kills: list[int]
) -> None:
    spec = make_spec(staleness=staleness, steps=STEPS, oversample=1.5)
    life = Life(tmp_path_factory.mktemp("journal"), spec, every)
    asyncio.run(_live(life, kills))
    assert sorted(life.learned) == list(range(STEPS))


async def _live(life: Life, kills: list[int]) -> None:
    for until in [*kills, 10**9]:
        finished = keys_in(life.directory)
        before = life.replayed
        await life.run(until)
        keys = keys_in(life.directory)
        assert len(keys) == len(set(keys)), "a finished group was drawn again"
    last = life.checkpoints[max(life.checkpoints)].step
    if life.every == 100:
        assert last == 0
        assert life.replayed - before == len(finished), "the last attempt takes all there is"


async def test_a_step_tells_what_it_took_from_the_journal_and_counts_it_in_no_rate(
    tmp_path: Path,
) -> None:
    spec, found = make_spec(), []
    for attempt in (1, 2):
        made = make_journal(tmp_path, attempt)
        await made.journal.open(START)
        world = Dice(journal=made.journal)
        found.append(await world.collector(spec).collect(START))
        assert len(world.drawn) == (4 if attempt == 1 else 0)
    first, again = found
    assert first.kept == again.kept
    assert ordinals(again.kept) == [0, 1, 2, 3]
    values = rollout_metrics(again)
    assert (values["replayed"], values["replayed_tokens"]) == (4, 4 * 2 * 8)
    assert values["tokens"] == rollout_metrics(first)["tokens"], "the run's count stays exact"
    assert "replayed" not in rollout_metrics(first)
    rates = throughput(again, waited=1.0, elapsed=2.0)
    assert rates["tokens_per_second"] == 0
    assert "verify_p99_seconds" not in rates


async def test_after_a_rollback_the_same_step_draws_its_groups_anew(tmp_path: Path) -> None:
    spec, made = make_spec(), make_journal(tmp_path, 1)
    await made.journal.open(START)
    given_up = await Dice(journal=made.journal).collector(spec).collect(START)
    await made.journal.open(START)
    state = START.model_copy(update={"guard": GuardState(rollbacks=1)})
    out = await Dice(journal=made.journal).collector(spec).collect(state)
    assert ordinals(out.kept) == ordinals(given_up.kept)
    assert out.kept != given_up.kept


async def test_groups_without_a_signal_and_unjudged_ones_are_kept_too(tmp_path: Path) -> None:
    spec = make_spec()
    drawn = []
    for attempt in (1, 2):
        made = make_journal(tmp_path, attempt)
        await made.journal.open(START)
        world = Dice(has_signal=lambda ordinal, _: ordinal >= 3, journal=made.journal)
        out = await world.collector(spec).collect(START)
        assert ordinals(out.kept) == [3, 4, 5, 6]
        drawn.append(world.drawn)
    assert drawn == [list(range(7)), []]


async def test_uses_of_a_prompt_are_apart(tmp_path: Path) -> None:
    """A held-out prompt's group is not taken for a step's, nor one step's for another's."""
    made = make_journal(tmp_path, 1)
    await made.journal.open(START)
    world = Dice(journal=made.journal)
    for name in ("train", "heldout"):
        for state in (START, START.model_copy(update={"step": 1})):
            world.version = state.step
            sampler = Sampler(generate=world.generate, verifier=world, journal=made.journal)
            await draw(
                [world.prompt(0)], make_spec().algorithm, sampler.at(state), num_samples=2,
                name=name,
            )  # fmt: skip
            await made.journal.open(START)
    assert world.drawn == [0] * 4


class HeldOut(World):
    """Two held-out prompts, that nobody judges."""

    def validation(self) -> Sequence[Prompt]:
        return [replace(self.prompt(ordinal), set_name="held-out") for ordinal in (-1, -2)]

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        self.drawn.append(len(requests))
        for sample, request in enumerate(requests):
            name = group_name(request.request_id)
            on_completion(make_completion(name, sample, version="1-0"))

    async def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        return Verdict(score=None, reason=prompt.set_name)


async def test_an_evaluation_that_was_interrupted_draws_no_finished_group_again(
    tmp_path: Path,
) -> None:
    sets = [SET | {"name": "held-out"}]
    validation = ValidationSpec.model_validate({"sets": sets, "samplesPerPrompt": 3})
    spec = make_spec()
    spec = spec.model_copy(update={"data": spec.data.model_copy(update={"validation": validation})})
    drawn = []
    for attempt in (1, 2):
        made = make_journal(tmp_path, attempt)
        await made.journal.open(START)
        world = HeldOut()
        sampler = Sampler(generate=world.generate, verifier=world, journal=made.journal)
        parts = make_parts(spec, prompts=world, sampler=sampler)
        assert await evaluate(parts, START) == START
        drawn.append(world.drawn)
    assert drawn == [[3, 3], []]
