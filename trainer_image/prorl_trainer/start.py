"""How the parts of a session are made. Each function makes one."""

import asyncio
import importlib.metadata
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prorl_api.job import ProRLJobSpec
from prorl_api.wire import JobDocument

from prorl_trainer import ray_driver
from prorl_trainer.checkpoint.away import PATIENCE_S, until_back
from prorl_trainer.checkpoint.fence import refuse_other_spec
from prorl_trainer.checkpoint.files import storage_errors
from prorl_trainer.checkpoint.opening import Checkpoint
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.context import Context
from prorl_trainer.data.cache import DataCache
from prorl_trainer.data.source import Prompts
from prorl_trainer.errors import CheckpointError
from prorl_trainer.export.at_end import check_export
from prorl_trainer.learn.group import GroupSettings, RayLearnerGroup, create_learner_group
from prorl_trainer.local_verifier import LocalVerifier
from prorl_trainer.model.materialise import check_context, load_tokenizer, materialise
from prorl_trainer.observe.tracker import Tracker
from prorl_trainer.observe.trackers import Trackers, check_tracking, open_forwarders
from prorl_trainer.recorder import Recorder
from prorl_trainer.rollout.actor import RayEngine, start_engine
from prorl_trainer.rollout.backend import Backend, choose_backend, wire_dtype
from prorl_trainer.rollout.places import Places, node_of
from prorl_trainer.rollout.pool import EnginePool
from prorl_trainer.rollout.settings import EngineSettings
from prorl_trainer.verify.client import VerifierClient
from prorl_trainer.verify.known import check_verifiers
from prorl_trainer.verify.resolve import by_name

if TYPE_CHECKING:
    from prorl_trainer.desk import Desk

MAX_SEQUENCES = 256
"""Completions that one engine draws at once."""
LIBRARIES = ("torch", "transformers", "ray")


async def claim(desk: "Desk") -> None:
    """Makes this attempt the one that writes. A storage that is away is waited for in a pod; who
    runs a job by hand sees the error at once. Raises CheckpointError, StorageError."""
    context, store = desk.context, desk.store

    def act() -> int:
        with storage_errors(context.directory):  # of all the rest, where checkpoints are elsewhere
            context.directory.mkdir(parents=True, exist_ok=True)
        return store.open_for_attempt(context.attempt, context.job.uid, context.job.hash)

    patience_s = 0.0 if context.local else PATIENCE_S
    tell = desk.status.message
    tell("Claiming the storage")
    desk.status.attempt(await until_back(partial(asyncio.to_thread, act), patience_s, tell))


async def verifier(context: Context, closing: list[Any]) -> VerifierClient:
    """The client; in local mode with a service of its own. What must be closed is appended.

    Raises ConfigError for a verifier that the service does not have."""
    url = context.verifier_url
    if url is None:
        service = LocalVerifier(
            context.directory / "token",
            context.job.spec.verifier,
            context.directory / "logs" / "verifier.log",
        )
        closing.append(service)
        await service.start()
        url = service.url
    await check_verifiers(context.job.spec, url, context.verifier_token)
    limit_s = context.job.spec.verifier.timeout_seconds
    client = VerifierClient(by_name(url), context.verifier_token, limit_s=limit_s)
    closing.insert(0, client)
    return client


def data_cache(
    context: Context, progress: Callable[[str], None], verifier: "asyncio.Task[VerifierClient]"
) -> DataCache:
    """Where downloaded data is kept: a later start reads the same rows, with or without network.

    A verifier that has failed ends what reports to the cache: it need not be finished first."""

    def report(text: str) -> None:
        if verifier.done():
            verifier.result()
        progress(text)

    return DataCache(context.directory / "data", report)


async def model(context: Context, cache: DataCache) -> tuple[Path, Any]:
    """The model's directory and its tokenizer. Raises ModelError, ConfigError."""
    check_tracking(context.job.spec.tracking)
    await asyncio.to_thread(check_export, context)
    cache.progress("Preparing the model")
    spec = context.job.spec
    model_dir = await asyncio.to_thread(materialise, spec, context.directory / "model", cache)
    tokenizer = await asyncio.to_thread(load_tokenizer, model_dir)
    check_context(model_dir, spec.algorithm.sampling)
    return model_dir, tokenizer


def first_state(job: JobDocument, prompts: Prompts) -> RunState:
    """Before the first step."""
    return RunState(
        job_uid=job.uid,
        job_name=job.name,
        spec_hash=job.hash,
        data_fingerprints=prompts.fingerprints,
        library_versions={name: importlib.metadata.version(name) for name in LIBRARIES},
    )


def same_run(first: RunState, checkpoint: Checkpoint, spec: ProRLJobSpec) -> RunState:
    """The checkpoint's state. Raises CheckpointError if it was made by another run, or has more
    than the run's steps."""
    mine, theirs = first, checkpoint.state
    refuse_other_spec(checkpoint.name, theirs, mine.spec_hash)
    for name, fingerprint in sorted(mine.data_fingerprints.items()):
        before = theirs.data_fingerprints.get(name)
        if before != fingerprint:
            raise CheckpointError(
                f"{checkpoint.name} was made with other rows of data set {name} "
                f"({(before or 'none')[:12]}, now {fingerprint[:12]}). Bring them back as they "
                "were, or use another job name or claim to start afresh."
            )
    if theirs.step > spec.algorithm.steps:
        raise CheckpointError(
            f"{checkpoint.name} has {theirs.step} finished steps, and spec.algorithm.steps is "
            f"{spec.algorithm.steps}. Steps may only grow."
        )
    return theirs


async def last_state(desk: "Desk", first: RunState) -> tuple[RunState, Checkpoint | None]:
    """Where the run begins: the checkpoint's state, or `first` where there never was one. Raises
    CheckpointError, StorageError."""
    spec = desk.context.job.spec
    accept = partial(same_run, first, spec=spec)
    checkpoint = await asyncio.to_thread(desk.store.load, spec.checkpoint.resume, accept)
    return (first if checkpoint is None else checkpoint.state), checkpoint


def recorder(desk: "Desk", state: RunState, checkpoint: Checkpoint | None) -> Recorder:
    """The recorder, told where the run begins."""
    context = desk.context
    tracker = Tracker(context.directory, attempt=desk.attempt, step=state.step)
    forwarders = open_forwarders(context.job, context.directory, _count_lost(desk))
    trackers = Trackers(tracker, forwarders)
    desk.metrics.record({"attempt": desk.attempt})
    made = Recorder(context.job.spec, trackers, desk.metrics, desk.status)
    made.start(state)
    if checkpoint is not None:
        manifest = checkpoint.manifest
        made.found_checkpoint(manifest, desk.context.checkpoint_uri(manifest.step))
    return made


def _count_lost(desk: "Desk") -> Callable[[], None]:
    return lambda: desk.metrics.count("tracker_records_lost")


class EngineReport:
    """rollout.pool_engine.PoolReport, to status and metrics."""

    def __init__(self, desk: "Desk") -> None:
        self._status = desk.status
        self._metrics = desk.metrics
        self.told = desk.metrics.engines.told
        self.gone = desk.metrics.engines.gone

    def changed(self, usable: int, lost: int) -> None:
        """See PoolReport."""
        self._status.engines(usable)
        self._metrics.record({"engines_usable": usable})
        self._metrics.count("engines_lost", lost)


def pool(
    desk: "Desk", model_dir: Path, send: Callable[[Sequence[RayEngine]], Awaitable[None]]
) -> EnginePool[RayEngine]:
    """The pool, already looking for places."""
    spec = desk.context.job.spec
    sampling = spec.algorithm.sampling
    settings = EngineSettings(
        kind=spec.rollout.engine,
        model_dir=str(model_dir),
        max_model_len=sampling.max_prompt_tokens + sampling.max_response_tokens,
        num_gpus=spec.rollout.gpus_per_replica,
        max_concurrent_sequences=MAX_SEQUENCES,
        seed=spec.algorithm.seed,
        backend=backend_of(spec),
    )

    def place(where: str) -> RayEngine:
        name = f"engine-{uuid.uuid4().hex[:8]}"
        return start_engine(settings, node_id=node_of(where), name=name)

    places = Places(ray_driver.live_nodes)
    made = EnginePool(
        places=places,
        start=place,
        send=send,
        min_engines=spec.rollout.min_replicas,
        report=EngineReport(desk),
    )
    desk.control.drain = lambda address: not made.is_on(places.give_up(address))
    made.open()
    return made


def backend_of(spec: ProRLJobSpec) -> Backend:
    """How the job's weights travel; engines have GPUs of their own."""
    return choose_backend(
        spec.rollout.engine,
        trainer_gpus=spec.trainer.gpus_per_replica,
        rollout_gpus=spec.rollout.gpus_per_replica,
    )


async def learners(context: Context, model_dir: Path) -> RayLearnerGroup:
    """All ranks, loaded."""
    spec = context.job.spec
    return await create_learner_group(
        GroupSettings(
            model_dir=model_dir,
            num_ranks=spec.world_size,
            gpus_per_rank=min(1, spec.trainer.gpus_per_replica),
            seed=spec.algorithm.seed,
            in_cluster=not context.local,
            precision=spec.trainer.compute_precision,
            activation_checkpointing=spec.trainer.activation_checkpointing,
            backend=backend_of(spec),
            wire_dtype=wire_dtype(spec.rollout.engine, spec.rollout.gpus_per_replica),
            verify_weights=spec.rollout.verify_weights,
        )
    )
