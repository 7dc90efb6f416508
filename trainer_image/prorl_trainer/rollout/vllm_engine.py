"""The vLLM engine: asynchronous, with the native weight-transfer session. Runs inside an actor.

The session is the same for all backends; NCCL and IPC were not exercised on a GPU.
"""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from typing import Any

from prorl_trainer.errors import EngineLostError, WeightSyncError
from prorl_trainer.rollout.backend import (
    Announcement,
    Backend,
    Channel,
    init_info,
    update_info,
)
from prorl_trainer.rollout.settings import EngineSettings
from prorl_trainer.rollout.stats import EngineStats
from prorl_trainer.types import Completion, FinishReason, GenerationRequest, OnCompletion

CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}

ALIVE_SECONDS = 1.0
"""Time between two looks at the engine's process."""

CPU_BATCH_TOKENS = 2048
"""vLLM's own default for a CPU."""


def _set_environment(settings: EngineSettings) -> None:
    """Before vllm is imported; what is set already wins."""
    if settings.num_gpus == 0:
        for name, value in CPU_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    if settings.backend is Backend.IPC:
        # CUDA handles are no JSON: vLLM pickles them from this process to its own child.
        os.environ["VLLM_ALLOW_INSECURE_SERIALIZATION"] = "1"


def _batching(settings: EngineSettings) -> dict[str, Any]:
    """On a CPU vLLM 0.32 dies of a request with a seed whose prompt is prefilled in chunks, so a
    prompt must fit into a batch as a whole."""
    if settings.num_gpus > 0:
        return {}
    tokens = max(CPU_BATCH_TOKENS, settings.max_model_len)
    return {"enable_chunked_prefill": False, "max_num_batched_tokens": tokens}


class VllmEngine:
    """Draws completions with their log-probs and the versions of the weights that wrote them."""

    def __init__(self, settings: EngineSettings) -> None:
        _set_environment(settings)
        from vllm.config.weight_transfer import WeightTransferConfig
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        from prorl_trainer.rollout.vllm_stats import StatsTally

        cpu = settings.num_gpus == 0
        arguments = AsyncEngineArgs(
            model=settings.model_dir,
            trust_remote_code=False,
            dtype="float32" if cpu else "bfloat16",
            enforce_eager=cpu,
            max_model_len=settings.max_model_len,
            max_num_seqs=settings.max_concurrent_sequences,
            # Log-probs after temperature: those the policy really sampled from.
            logprobs_mode="processed_logprobs",
            seed=settings.seed,
            weight_transfer_config=WeightTransferConfig(backend=settings.backend.value),
            worker_extension_cls="prorl_trainer.rollout.weight_transfer.Extension",
            disable_log_stats=True,
            **_batching(settings),
        )
        self._backend = settings.backend
        self._tally = StatsTally()
        self._llm: Any = AsyncLLM.from_engine_args(arguments, stat_loggers=[self._tally.logger])
        self._version = "initial"

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        """See protocols.Engine."""
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            await asyncio.gather(*(self._one(request, on_completion) for request in requests))
        except EngineDeadError as error:
            raise EngineLostError("vllm", str(error)) from error

    async def _one(self, request: GenerationRequest, on_completion: OnCompletion) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            n=1,
            temperature=request.temperature,
            top_p=1.0,
            top_k=-1 if request.temperature > 0 else 0,
            max_tokens=request.max_tokens,
            seed=request.seed,
            logprobs=0,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        prompt = {"prompt_token_ids": list(request.prompt_token_ids)}
        final: Any = None
        async for output in self._llm.generate(prompt, params, request.request_id):
            final = output
        on_completion(_completion(request.request_id, final.outputs[0], self._version))

    async def init_weight_channel(self, channel: Channel, rank: int) -> None:
        """Joins the learner's channel. Raises EngineLostError."""
        from vllm.distributed.weight_transfer.base import WeightTransferInitRequest

        request = WeightTransferInitRequest(init_info=init_info(channel, rank))
        await self._while_alive(self._llm.init_weight_transfer_engine(request))

    async def update_weights(self, announcement: Announcement, version: str) -> None:
        """Pause, receive, finish. Raises WeightSyncError, and EngineLostError where the engine's
        process is gone though the actor is not.

        After a failure the layers are unusable, so the engine stays paused until a later session
        has finished; resuming in a bare `finally` would kill it.
        """
        try:
            await self._while_alive(self._receive(update_info(announcement), version))
        except EngineLostError:
            raise
        except Exception as error:  # vLLM reports worker errors as plain Exception
            raise WeightSyncError(f"vLLM did not take the weights {version}: {error}") from error
        self._version = version

    async def _receive(self, info: dict[str, Any], version: str) -> None:
        from vllm.distributed.weight_transfer.base import WeightTransferUpdateRequest

        # Clears the prefix cache, and has what is running computed anew: nothing of the old
        # weights is left in the cache.
        await self._llm.pause_generation(mode="keep", clear_cache=True)
        await self._llm.start_weight_update()
        await self._llm.update_weights(WeightTransferUpdateRequest(update_info=info))
        await self._llm.finish_weight_update(weight_version=version)

    async def weight_checksums(self, announcement: Announcement) -> dict[str, str]:
        """Name -> sha256 of what the worker computes with. Raises WeightSyncError."""
        wanted = (announcement.names, announcement.dtypes, announcement.shapes)
        try:
            found = await self._while_alive(
                self._llm.collective_rpc("prorl_checksums", args=wanted)
            )
        except EngineLostError:
            raise
        except Exception as error:  # vLLM reports worker errors as plain Exception
            raise WeightSyncError(f"vLLM's weights cannot be read: {error}") from error
        (checksums,) = found  # one worker an engine: tensor parallelism is not offered
        return dict(checksums)

    async def resume(self) -> None:
        """Goes on generating after an update. Raises EngineLostError."""
        await self._while_alive(self._llm.resume_generation())

    async def stats(self) -> EngineStats:
        """As of vLLM's last iteration. Raises EngineLostError."""
        self._check_alive()
        return self._tally.stats

    def _check_alive(self) -> None:
        if self._llm.errored:
            raise EngineLostError("vllm", "its engine process has died")

    async def _while_alive(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Raises EngineLostError: vLLM never answers a call during which its process dies."""
        task = asyncio.ensure_future(call)
        try:
            while not task.done():
                self._check_alive()
                await asyncio.wait({task}, timeout=ALIVE_SECONDS)
            if task.exception() is not None and self._llm.errored:
                raise EngineLostError("vllm", str(task.exception()))
            return await task
        finally:
            task.cancel()

    def close(self) -> None:
        """Ends the engine's processes."""
        self._llm.shutdown()


def _completion(request_id: str, output: Any, version: str) -> Completion:
    tokens = tuple(output.token_ids)
    logprobs = tuple(
        float(entry[token].logprob) for entry, token in zip(output.logprobs, tokens, strict=True)
    )
    versions, starts = _versions(output, version)
    return Completion(
        request_id=request_id,
        token_ids=tokens,
        mask=(True,) * len(tokens),
        logprobs=logprobs,
        finish_reason=FinishReason(output.finish_reason),
        weight_versions=versions,
        weight_starts=starts,
        text=output.text,
    )


def _versions(output: Any, version: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Versions and first tokens of the spans; vLLM gives none where no token was drawn."""
    spans = output.weight_versions
    if not spans:
        return (version,), (0,)
    return tuple(span.version for span in spans), tuple(span.start for span in spans)
