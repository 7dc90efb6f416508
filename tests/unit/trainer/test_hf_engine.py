"""The transformers engine: updates in flight, and checksums of what it computes with."""

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import complete
from ports import free_port
from prorl_trainer.errors import WeightSyncError
from prorl_trainer.learn.learner import Learner, RankSettings
from prorl_trainer.rollout.backend import Backend, Channel
from prorl_trainer.rollout.hf_engine import HfEngine
from prorl_trainer.rollout.publish import refuse_other
from prorl_trainer.rollout.stats import EngineStats
from prorl_trainer.types import Completion, GenerationRequest
from tiny_model import make_batch, make_model, make_settings

TOLERANCE = 1e-4


@pytest.fixture
def learner(tmp_path: Path) -> Learner:
    return Learner(
        RankSettings(
            rank=0, world_size=1, master_address="", master_port=0,
            model_dir=str(make_model(tmp_path)), seed=0, device="cpu",
        )
    )  # fmt: skip


async def connected(learner: Learner, model_dir: Path) -> HfEngine:
    """An engine with the learner's weights, version 1-0."""
    engine = HfEngine(model_dir)
    channel = Channel(
        backend=Backend.GLOO, dtype="float32", host="127.0.0.1", port=free_port(), world_size=2
    )
    await asyncio.gather(
        asyncio.to_thread(learner.open_weight_channel, channel),
        engine.init_weight_channel(channel, 1),
    )
    await send(learner, engine, "1-0")
    await engine.resume()
    return engine


async def send(learner: Learner, engine: HfEngine, version: str) -> None:
    told = learner.announce_weights()
    await asyncio.gather(
        asyncio.to_thread(learner.send_weights), engine.update_weights(told, version)
    )


def make_requests() -> list[GenerationRequest]:
    """Prompts of two lengths."""
    return [
        GenerationRequest(
            request_id=str(i), prompt_token_ids=tuple(range(3, 6 + i % 2)), max_tokens=24,
            temperature=0.7, seed=i,
        )
        for i in range(6)
    ]  # fmt: skip


async def drawn(engine: HfEngine, tokens: int) -> None:
    while (await engine.stats()).generated_tokens < tokens:
        await asyncio.sleep(0)


def logprobs(model: Any, request: GenerationRequest, found: Completion) -> torch.Tensor:
    ids = torch.tensor(request.prompt_token_ids + found.token_ids)
    with torch.no_grad():
        lp = (model(input_ids=ids[None], use_cache=False).logits[0] / 0.7).log_softmax(-1)
    first = len(request.prompt_token_ids)
    return lp[torch.arange(first - 1, len(ids) - 1), ids[first:]]


async def test_each_token_has_the_log_prob_of_the_weights_that_its_span_names(
    learner: Learner, tmp_path: Path
) -> None:
    engine, requests = await connected(learner, tmp_path), make_requests()
    before = copy.deepcopy(learner._policy.hf)
    drawing = asyncio.create_task(complete(engine.generate, requests))
    await drawn(engine, 15)
    learner.update(make_batch(), make_settings(learning_rate=3e-2))
    await send(learner, engine, "1-1")
    await engine.resume()
    completions = await drawing
    assert any(c.weight_versions == ("1-0", "1-1") for c in completions)
    models = {"1-0": before, "1-1": learner._policy.hf}
    for request, found in zip(requests, completions, strict=True):
        for span in found.spans:
            gap = torch.tensor(found.logprobs) - logprobs(models[span.version], request, found)
            assert gap[span.start : span.end].abs().max() < TOLERANCE, span
    learner.close()


async def test_between_an_update_and_its_resumption_nothing_is_drawn(
    learner: Learner, tmp_path: Path
) -> None:
    engine = await connected(learner, tmp_path)
    drawing = asyncio.create_task(complete(engine.generate, make_requests()))
    await drawn(engine, 1)
    await send(learner, engine, "1-1")
    before = await engine.stats()
    for _ in range(20):
        await asyncio.sleep(0)
    assert await engine.stats() == before
    await engine.resume()
    await drawing
    assert (await engine.stats()).progress > before.progress
    learner.close()


async def test_it_says_what_it_draws_and_nothing_of_what_it_does_not_have(tmp_path: Path) -> None:
    engine, requests = HfEngine(make_model(tmp_path)), make_requests()
    drawing = asyncio.create_task(complete(engine.generate, requests))
    await drawn(engine, 3)
    during = await engine.stats()
    assert during == EngineStats(
        requests_running=3, prompt_tokens=3 * 3, generated_tokens=during.generated_tokens
    )
    completions = await drawing
    assert await engine.stats() == EngineStats(
        requests_running=0, prompt_tokens=3 * 3 + 3 * 4,
        generated_tokens=sum(len(c.token_ids) for c in completions),
    )  # fmt: skip
    drawing = asyncio.create_task(complete(engine.generate, requests))
    await drawn(engine, (await engine.stats()).generated_tokens + 1)
    drawing.cancel()
    await asyncio.gather(drawing, return_exceptions=True)
    assert (await engine.stats()).requests_running == 0


async def test_a_tensor_that_is_not_the_learners_is_named(learner: Learner, tmp_path: Path) -> None:
    engine = await connected(learner, tmp_path)
    told, sent = learner.announce_weights(), learner.weight_checksums()
    refuse_other(sent, await engine.weight_checksums(told), engine="e", version="1-0")
    with torch.no_grad():
        dict(engine._model.named_parameters())["model.norm.weight"][0] += 1e-6
    with pytest.raises(WeightSyncError, match=r"1 of 20 .* model\.norm\.weight"):
        refuse_other(sent, await engine.weight_checksums(told), engine="e", version="1-0")
    learner.close()
