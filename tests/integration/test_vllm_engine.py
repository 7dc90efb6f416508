"""The real vLLM engine: its log-probs, its seeds, and the weights it is sent, also in flight."""

import asyncio
import copy
from typing import Any

import psutil
import pytest
import torch
from drawing import complete
from ports import free_port
from prorl_api.spec_roles import EngineKind
from prorl_trainer.errors import EngineLostError, WeightSyncError
from prorl_trainer.learn.learner import Learner, RankSettings
from prorl_trainer.rollout.backend import Backend, Channel
from prorl_trainer.rollout.publish import refuse_other
from prorl_trainer.rollout.settings import EngineSettings
from prorl_trainer.rollout.vllm_engine import VllmEngine
from prorl_trainer.types import Completion, GenerationRequest
from tiny_model import make_batch, make_model, make_settings

LOGPROB_TOLERANCE = 1e-3
"""fp32 on both sides, other kernels; a stale layer is off by orders of magnitude more."""
ROUNDS = 3
BLOCK = 128
"""Tokens that vLLM's prefix cache takes or leaves as a whole, on a CPU."""


def make_requests(
    temperature: float, count: int = 8, max_tokens: int = 12
) -> list[GenerationRequest]:
    return [
        GenerationRequest(
            request_id=f"{temperature}-{i}",
            # The same in every round, and longer than a block of the prefix cache.
            prompt_token_ids=tuple(3 + (7 * i + j) % 80 for j in range(BLOCK + 12)),
            max_tokens=max_tokens,
            temperature=temperature,
            seed=i,
        )
        for i in range(count)
    ]


def trainer_logprobs(model: Any, request: GenerationRequest, found: Completion):
    """Log-probs of the completion's tokens by these weights."""
    ids = torch.tensor(request.prompt_token_ids + found.token_ids)
    with torch.no_grad():
        logits = model(input_ids=ids[None], use_cache=False).logits[0]
    lp = (logits / (request.temperature or 1.0)).log_softmax(-1)
    first = len(request.prompt_token_ids)
    where = torch.arange(first - 1, len(ids) - 1)
    return lp[where, ids[first:]], lp[where].argmax(-1)


@pytest.mark.timeout(300)
async def test_after_every_sync_the_engine_is_the_trainer(tmp_path):
    """Greedy text, log-probs and version tag follow the learner through several updates. One test:
    an engine takes 20 s to start."""
    model_dir = make_model(tmp_path)
    learner = Learner(
        RankSettings(
            rank=0, world_size=1, master_address="", master_port=0,
            model_dir=str(model_dir), seed=0, device="cpu",
        )
    )  # fmt: skip
    engine = VllmEngine(
        EngineSettings(
            kind=EngineKind.VLLM, model_dir=str(model_dir), max_model_len=256, num_gpus=0,
            max_concurrent_sequences=128, seed=0,
        )
    )  # fmt: skip
    try:
        await check_more_prompts_than_fit_into_a_batch(engine)
        channel = Channel(
            backend=Backend.GLOO, dtype="float32", host="127.0.0.1", port=free_port(), world_size=2
        )
        await asyncio.gather(
            asyncio.to_thread(learner.open_weight_channel, channel),
            engine.init_weight_channel(channel, 1),
        )
        for round_ in range(ROUNDS):
            version = f"1-{round_}"
            await send(learner, engine, version)
            await engine.resume()
            await check_equal(learner, engine, version)
            learner.update(make_batch(seed=round_), make_settings(learning_rate=3e-2))
        await check_broken_weights_are_named(learner, engine)
        await check_update_in_flight(learner, engine)
        for process in psutil.Process().children(recursive=True):
            process.kill()
        with pytest.raises(EngineLostError):  # the actor lives on: only vLLM's own processes died
            await engine.update_weights(learner.announce_weights(), "1-9")
        with pytest.raises(EngineLostError):
            await engine.stats()
    finally:
        engine.close()
        learner.close()


async def check_more_prompts_than_fit_into_a_batch(engine: VllmEngine) -> None:
    """vLLM on a CPU dies of a request with a seed whose prompt is cut into chunks."""
    requests = make_requests(1.0, count=100, max_tokens=4)
    completions = await complete(engine.generate, requests)
    assert [c.request_id for c in completions] == [r.request_id for r in requests]
    stats = await engine.stats()
    assert stats.generated_tokens == sum(len(c.token_ids) for c in completions)
    assert stats.prompt_tokens == sum(len(r.prompt_token_ids) for r in requests)
    assert (stats.requests_running, stats.requests_waiting) == (0, 0)


async def send(learner: Learner, engine: VllmEngine, version: str) -> None:
    """One session up to the comparison of all tensors; the engine stays paused."""
    told = learner.announce_weights()
    await asyncio.gather(
        asyncio.to_thread(learner.send_weights), engine.update_weights(told, version)
    )
    found = await engine.weight_checksums(told)
    refuse_other(learner.weight_checksums(), found, engine="engine-0", version=version)
    assert found.keys() == {*told.names, "lm_head.weight"}


async def check_broken_weights_are_named(learner: Learner, engine: VllmEngine) -> None:
    """The learner has moved on; then the engine loses what it has; a new session repairs it."""
    told, sent = learner.announce_weights(), learner.weight_checksums()
    found = await engine.weight_checksums(told)
    assert all(found[name] != digest for name, digest in sent.items()), "all have been trained"
    await send(learner, engine, "1-7")
    await engine._llm.collective_rpc("reset_weights")
    found = await engine.weight_checksums(told)
    with pytest.raises(WeightSyncError, match=r"engine-0 .* 1-7 .*layernorm"):
        refuse_other(sent, found, engine="engine-0", version="1-7")
    await send(learner, engine, "1-7")
    await engine.resume()
    await check_equal(learner, engine, "1-7")


async def check_update_in_flight(learner: Learner, engine: VllmEngine) -> None:
    """Each token has the log-prob of the weights that its span names: the old ones left nothing in
    the cache."""
    requests = make_requests(1.0, max_tokens=80)
    start = (await engine.stats()).progress
    read = sum(len(r.prompt_token_ids) + 4 for r in requests)
    drawing = asyncio.create_task(complete(engine.generate, requests))
    while (await engine.stats()).progress - start < read:
        await asyncio.sleep(0.001)
    during = await engine.stats()
    assert during.requests_running == len(requests)
    assert during.kv_cache_usage_ratio > 0
    told = learner.announce_weights()
    before = copy.deepcopy(learner._policy.hf)
    learner.update(make_batch(seed=9), make_settings(learning_rate=3e-2))
    await asyncio.gather(
        asyncio.to_thread(learner.send_weights), engine.update_weights(told, "1-8")
    )
    await engine.resume()
    completions = await drawing
    assert any(c.weight_versions == ("1-7", "1-8") for c in completions)
    for request, found in zip(requests, completions, strict=True):
        for span in found.spans:
            model = before if span.version == "1-7" else learner._policy.hf
            logprobs, _ = trainer_logprobs(model, request, found)
            gap = torch.tensor(found.logprobs) - logprobs
            assert gap[span.start : span.end].abs().max() < LOGPROB_TOLERANCE, span


async def check_equal(learner: Learner, engine: VllmEngine, version: str) -> None:
    """Right after an update: it has emptied the prefix cache, so three rounds of four hit it."""
    hits = (await engine.stats()).prefix_cache_hit_tokens
    for temperature in (0.0, 0.7):
        requests = make_requests(temperature)
        completions = await complete(engine.generate, requests)
        again = await complete(engine.generate, requests)
        assert [c.token_ids for c in completions] == [c.token_ids for c in again]
        for request, found in zip(requests, completions, strict=True):
            assert found.weight_versions == (version,)
            logprobs, greedy = trainer_logprobs(learner._policy.hf, request, found)
            if temperature == 0.0:
                assert found.token_ids == tuple(greedy.tolist()), version
            else:
                gap = (torch.tensor(found.logprobs) - logprobs).abs().max().item()
                assert gap < LOGPROB_TOLERANCE, version
    found_hits = (await engine.stats()).prefix_cache_hit_tokens - hits
    assert found_hits == 3 * len(make_requests(0.0)) * BLOCK
