"""The real vLLM engine: its log-probs, its seeds, and the weights it is sent."""

import asyncio

import psutil
import pytest
import torch
from ports import free_port
from prorl_api.spec_roles import EngineKind
from prorl_trainer.errors import EngineLostError
from prorl_trainer.learn.learner import Learner, RankSettings
from prorl_trainer.rollout.settings import EngineSettings
from prorl_trainer.rollout.vllm_engine import VllmEngine
from prorl_trainer.types import Completion, GenerationRequest
from tiny_model import make_batch, make_model, make_settings

LOGPROB_TOLERANCE = 1e-3
"""fp32 on both sides, other kernels; a stale layer is off by orders of magnitude more."""
ROUNDS = 3


def make_requests(temperature: float, count: int = 8) -> list[GenerationRequest]:
    return [
        GenerationRequest(
            request_id=f"{temperature}-{i}",
            # Long enough to fill blocks of the prefix cache, and the same in every round.
            prompt_token_ids=tuple(3 + (7 * i + j) % 80 for j in range(40)),
            max_tokens=12,
            temperature=temperature,
            seed=i,
        )
        for i in range(count)
    ]


def trainer_logprobs(learner: Learner, request: GenerationRequest, found: Completion):
    """Log-probs of the completion's tokens by the learner's weights."""
    ids = torch.tensor(request.prompt_token_ids + found.token_ids)
    with torch.no_grad():
        logits = learner._policy.hf(input_ids=ids[None], use_cache=False).logits[0]
    lp = (logits / (request.temperature or 1.0)).log_softmax(-1)
    first = len(request.prompt_token_ids)
    where = torch.arange(first - 1, len(ids) - 1)
    return lp[where, ids[first:]], lp[where].argmax(-1)


@pytest.mark.timeout(300)
async def test_after_every_sync_the_engine_is_the_trainer(tmp_path):
    """Greedy text, log-probs and version tag follow the learner through several updates."""
    model_dir = make_model(tmp_path)
    learner = Learner(
        RankSettings(
            rank=0, world_size=1, master_address="", master_port=0,
            model_dir=str(model_dir), seed=0, device="cpu",
        )
    )  # fmt: skip
    engine = VllmEngine(
        EngineSettings(
            kind=EngineKind.VLLM, model_dir=str(model_dir), max_model_len=64, num_gpus=0,
            max_concurrent_sequences=16, seed=0,
        )
    )  # fmt: skip
    try:
        port = free_port()
        await asyncio.gather(
            asyncio.to_thread(learner.open_weight_channel, "127.0.0.1", port, 2),
            engine.init_weight_channel("127.0.0.1", port, 1, 2),
        )
        for round_ in range(ROUNDS):
            version = f"1-{round_}"
            names, dtypes, shapes = learner.weight_names()
            await asyncio.gather(
                asyncio.to_thread(learner.send_weights),
                engine.update_weights(names, dtypes, shapes, version),
            )
            await check_equal(learner, engine, version)
            learner.update(make_batch(seed=round_), make_settings(learning_rate=3e-2))
        for process in psutil.Process().children(recursive=True):
            process.kill()
        with pytest.raises(EngineLostError):  # the actor lives on: only vLLM's own processes died
            await engine.update_weights(names, dtypes, shapes, "1-9")
    finally:
        engine.close()
        learner.close()


async def check_equal(learner: Learner, engine: VllmEngine, version: str) -> None:
    for temperature in (0.0, 0.7):
        requests = make_requests(temperature)
        completions = await engine.generate(requests)
        again = await engine.generate(requests)
        assert [c.token_ids for c in completions] == [c.token_ids for c in again]
        for request, found in zip(requests, completions, strict=True):
            assert found.weight_versions == (version,)
            logprobs, greedy = trainer_logprobs(learner, request, found)
            if temperature == 0.0:
                assert found.token_ids == tuple(greedy.tolist()), version
            else:
                gap = (torch.tensor(found.logprobs) - logprobs).abs().max().item()
                assert gap < LOGPROB_TOLERANCE, version
