"""What a step does with what must not be trained on: the table of docs/bad-input.md."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from prorl_api.spec_algorithm import AlgorithmSpec
from prorl_trainer.batch import build_batch
from prorl_trainer.collect import Sampler, fill, rollout_metrics
from prorl_trainer.collected import Collected
from prorl_trainer.errors import NoSignalError
from prorl_trainer.types import (
    Completion,
    FinishReason,
    GenerationRequest,
    OnCompletion,
    Prompt,
    Verdict,
)

ESTIMATORS = ("reinforce++-baseline", "reinforce++", "grpo", "rloo", "dr-grpo")


def spec(**fields: Any) -> AlgorithmSpec:
    return AlgorithmSpec.model_validate(
        {"promptsPerStep": 2, "samplesPerPrompt": 3, "updatesPerStep": 1} | fields
    )


class Prompts:
    """Prompt n is asked for by ordinal."""

    fingerprints: dict[str, str] = {}

    def prompt(self, ordinal: int) -> Prompt:
        return Prompt(
            ordinal=ordinal, set_name="sums", domain="math", verifier="math-verify", text="?",
            token_ids=(1,), answer="2",
        )  # fmt: skip

    def validation(self) -> Sequence[Prompt]:
        return []


class Scripted:
    """Generates responses of the scripted numbers of tokens and judges by the scripted scores; the
    same for every group."""

    def __init__(self, scores: Sequence[float | None], tokens: Sequence[int] = (4, 4, 4)) -> None:
        self._scores, self._tokens = scores, tokens

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        for request, tokens in zip(requests, self._tokens, strict=True):
            on_completion(make_completion(request.request_id, tokens))

    async def verify(self, _: Prompt, completion: Completion) -> Verdict:
        return Verdict(score=self._scores[int(completion.request_id.rpartition("-")[2])])

    @property
    def sampler(self) -> Sampler:
        return Sampler(generate=self.generate, verifier=self)


def make_completion(request_id: str, tokens: int) -> Completion:
    return Completion(
        request_id=request_id, token_ids=(2,) * tokens, mask=(True,) * tokens,
        logprobs=(-1.0,) * tokens, finish_reason=FinishReason.STOP, weight_versions=("1-0",),
        text="2" * tokens,
    )  # fmt: skip


async def collect(algorithm: AlgorithmSpec, sampler: Sampler) -> Collected:
    out = Collected(step=0, next_ordinal=0)
    await fill(out, algorithm, Prompts(), sampler)
    return out


UNFILTERED = {"dynamicSampling": {"enabled": False}}


@pytest.mark.parametrize("estimator", ESTIMATORS)
async def test_an_empty_completion_is_counted_and_left_out(estimator: str) -> None:
    algorithm = spec(advantage={"estimator": estimator})
    script = Scripted([1.0, 0.0, 1.0], tokens=[4, 3, 0])
    drawn = await collect(algorithm, script.sampler)
    batch = build_batch(algorithm, 1, drawn.kept)
    assert [len(s.response_token_ids) for s in batch.sequences] == [4, 3, 4, 3]
    assert all(math.isfinite(s.advantage) for s in batch.sequences)
    assert rollout_metrics(drawn)["empty_completions"] == 2


async def test_a_difference_that_only_an_empty_completion_makes_is_no_signal() -> None:
    script = Scripted([1.0, 1.0, 0.0], tokens=[4, 3, 0])
    with pytest.raises(NoSignalError, match="Only 0 of 2 groups had differing rewards"):
        await collect(spec(), script.sampler)


@pytest.mark.parametrize("estimator", ESTIMATORS)
async def test_a_group_of_which_one_completion_is_left_pulls_nowhere_by_itself(
    estimator: str,
) -> None:
    algorithm = spec(advantage={"estimator": estimator}, **UNFILTERED)
    drawn = await collect(algorithm, Scripted([1.0, None, None]).sampler)
    batch = build_batch(algorithm, 1, drawn.kept)
    assert [s.advantage for s in batch.sequences] == [0.0, 0.0]


async def test_a_group_of_one_judged_completion_is_drawn_again_by_dynamic_sampling() -> None:
    with pytest.raises(NoSignalError):
        await collect(spec(), Scripted([1.0, None, None]).sampler)


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
async def test_no_signal_ends_after_max_rounds_with_the_numbers(score: float) -> None:
    algorithm = spec(dynamicSampling={"maxRounds": 3})
    with pytest.raises(NoSignalError, match=r"Only 0 of 2 groups .* after 3 rounds"):
        await collect(algorithm, Scripted([score] * 3).sampler)


async def test_nothing_judged_at_all_is_no_signal_even_without_a_filter() -> None:
    with pytest.raises(NoSignalError):
        await collect(spec(**UNFILTERED), Scripted([None] * 3).sampler)
