"""What is sent to vLLM and called of it, against the installed version. No GPU is needed."""

import inspect
from dataclasses import asdict, replace
from typing import Any

import pytest
from prorl_trainer.rollout.backend import (
    Announcement,
    Backend,
    Channel,
    init_info,
    update_info,
)
from prorl_trainer.rollout.stats import EngineStats

CHANNEL = Channel(
    backend=Backend.NCCL, dtype="bfloat16", host="10.0.0.1", port=29_500, world_size=3
)
TOLD = Announcement(names=["a", "b"], dtypes=["bfloat16"] * 2, shapes=[[2], [3, 4]])


def vllm_engine(backend: Backend) -> Any:
    """The class that vLLM's worker makes for this name."""
    from prorl_trainer.rollout import weight_transfer  # registers ours
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory

    assert weight_transfer.BACKEND == Backend.GLOO
    return WeightTransferEngineFactory._registry[backend.value]()


@pytest.mark.parametrize("backend", list(Backend))
def test_vllm_knows_the_backend_and_takes_what_its_workers_are_told(backend: Backend) -> None:
    engine = vllm_engine(backend)
    handles = [{"gpu-0": (1,)}, {"gpu-0": (2,)}] if backend is Backend.IPC else None
    joined = engine.init_info_cls(**init_info(replace(CHANNEL, backend=backend), 2))
    told = engine.update_info_cls(**update_info(replace(TOLD, handles=handles)))
    assert (told.names, told.shapes) == (TOLD.names, TOLD.shapes)
    assert told.dtype_names == TOLD.dtypes
    if backend is Backend.NCCL:
        assert (joined.rank_offset, joined.world_size, joined.packed) == (2, 3, True)
    if backend is Backend.IPC:
        assert (joined.packed, told.ipc_handles) == (False, handles)


def test_both_ends_of_nccl_pack_alike() -> None:
    """The worker takes buffer sizes from its defaults, the learner from those of the producer."""
    from vllm.distributed.weight_transfer.nccl_common import (
        NCCLWeightTransferInitInfo,
        trainer_init,
    )
    from vllm.distributed.weight_transfer.packed_tensor import packed_nccl_broadcast_producer

    joined = asdict(NCCLWeightTransferInitInfo(**init_info(CHANNEL, 1)))
    parameters = inspect.signature(packed_nccl_broadcast_producer).parameters
    assert list(parameters)[:4] == ["iterator", "group", "src", "post_iter_func"]
    assert parameters["buffer_size_bytes"].default == joined["packed_buffer_size_bytes"]
    assert parameters["num_buffers"].default == joined["packed_num_buffers"]
    assert list(inspect.signature(trainer_init).parameters) == ["init_info", "rank"]


def test_the_learners_gpu_ends_are_importable_without_a_gpu() -> None:
    from prorl_trainer.rollout.gpu_weights import IpcSender, NcclSender

    for sender in (IpcSender, NcclSender):
        assert {"export", "send", "release", "close", "device"} <= set(dir(sender))


def test_the_session_of_vllm_has_the_calls_that_are_made() -> None:
    from vllm.v1.engine.async_llm import AsyncLLM

    def parameters(method: str) -> list[str]:
        return list(inspect.signature(getattr(AsyncLLM, method)).parameters)[1:]

    assert parameters("pause_generation") == ["mode", "clear_cache"]
    assert parameters("init_weight_transfer_engine") == ["request"]
    assert parameters("start_weight_update") == []
    assert parameters("update_weights") == ["request"]
    assert parameters("finish_weight_update") == ["weight_version"]
    assert parameters("resume_generation") == []
    assert parameters("collective_rpc")[0] == "method"
    assert "stat_loggers" in inspect.signature(AsyncLLM.from_engine_args).parameters


def test_spans_have_the_fields_that_are_read() -> None:
    from vllm.outputs import WeightVersionSpan

    span = WeightVersionSpan("1-4", 3, 8)
    assert (span.version, span.start, span.end) == ("1-4", 3, 8)


def test_counts_add_up_what_vllm_reports_and_the_rest_is_its_last_word() -> None:
    from prorl_trainer.rollout.vllm_stats import StatsTally
    from vllm.v1.metrics.stats import IterationStats, PrefixCacheStats, SchedulerStats

    tally = StatsTally()
    logger = tally.logger(None)
    for running in (3, 2):
        iteration = IterationStats()
        iteration.num_generation_tokens = running
        iteration.prompt_token_stats.total = 10
        iteration.num_preempted_reqs = 1
        scheduler = SchedulerStats(
            num_running_reqs=running, num_waiting_reqs=4, num_skipped_waiting_reqs=1,
            kv_cache_usage=0.25, prefix_cache_stats=PrefixCacheStats(queries=10, hits=6),
        )  # fmt: skip
        logger.record(scheduler, iteration, None, engine_idx=0)
    logger.record(None, None)
    assert tally.stats == EngineStats(
        requests_running=2, requests_waiting=5, kv_cache_usage_ratio=0.25, preemptions=2,
        prompt_tokens=20, generated_tokens=5, prefix_cache_queried_tokens=20,
        prefix_cache_hit_tokens=12,
    )  # fmt: skip
