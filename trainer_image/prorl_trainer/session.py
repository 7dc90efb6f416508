"""One coordinator's life: start the parts, train, recover lost learners, end in order."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prorl_api.wire import Stage

from prorl_trainer import actions, ray_driver, start
from prorl_trainer.actions import StopRequested
from prorl_trainer.ahead import Collector
from prorl_trainer.algo.staleness import version_name
from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.collect import Sampler
from prorl_trainer.data.source import Prompts
from prorl_trainer.desk import Desk
from prorl_trainer.errors import StorageError, TrainerLostError
from prorl_trainer.export.at_end import export_at_end
from prorl_trainer.learn.group import RayLearnerGroup
from prorl_trainer.loop import Parts, train
from prorl_trainer.losses import Losses
from prorl_trainer.ray_use import RayUse
from prorl_trainer.recorder import Recorder
from prorl_trainer.rollout.actor import RayEngine
from prorl_trainer.rollout.pool import EnginePool
from prorl_trainer.saves import Saves, SaveTimes
from prorl_trainer.types import GenerationRequest, OnCompletion
from prorl_trainer.verify.client import VerifierClient

log = logging.getLogger(__name__)
TRAINER_WAIT_S = 1800.0


class Session:
    """`run` is the whole life of a run; `close` may be called at any time after it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._spec = desk.context.job.spec
        self._status = desk.status
        self._closing: list[Any] = []
        self._pool: EnginePool[RayEngine] | None = None
        self._learners: RayLearnerGroup | None = None
        self._recorder: Recorder | None = None
        self._verifier: asyncio.Task[VerifierClient] | None = None
        self._leaving: set[str] = set()
        """Ray node IDs of trainers that have been told to go."""
        self._joined = False
        """All trainers' nodes were there when the learners were started last."""
        self._losses = Losses()
        self._saves = Saves(desk.store, self._durable, desk.status.waiting)
        self.state: RunState | None = None
        """After the last finished step; None until the checkpoints were looked through."""

    @property
    def checkpoint_step(self) -> int | None:
        """Step of the last durable checkpoint."""
        return self._desk.store.last_step

    async def run(self) -> RunState:
        """Trains to the end. Raises TrainingError, or StopRequested when everything is saved."""
        desk, spec, status = self._desk, self._spec, self._status
        await start.claim(desk)
        self._verifier = asyncio.create_task(start.verifier(desk.context, self._closing))
        cache = start.data_cache(desk.context, self._report, self._verifier)
        model_dir, tokenizer = await start.model(desk.context, cache)
        prompts = await asyncio.to_thread(Prompts, spec, tokenizer, cache)
        first = start.first_state(desk.context.job, prompts)
        self.state, checkpoint = await start.last_state(desk, first)
        self._recorder = start.recorder(desk, self.state, checkpoint)
        status.message("Starting Ray")
        await asyncio.to_thread(ray_driver.connect, desk.context)
        self._closing.append(RayUse(desk.metrics.ray.told))
        desk.control.listen()
        self._pool = start.pool(desk, model_dir, self._send)
        verifier = await self._verifier
        while True:
            leaving = len(self._leaving)
            try:
                state = await self._train(model_dir, first, prompts, verifier)
                await export_at_end(desk.context, status, model_dir, self.checkpoint_step)
                return state
            except TrainerLostError as error:
                await self._lose_learners(error)
                if len(self._leaving) == leaving:
                    self._count_loss(error)
            except BaseException:
                await self._saves.end()
                raise

    def _count_loss(self, error: TrainerLostError) -> None:
        """Trainers that were told to go, or that nobody has started yet, are no loss."""
        if self._joined and self._losses.add(self.state.step if self.state else 0):
            raise TrainerLostError(
                f"The learners were lost {self._losses.in_a_row} times without a new step: {error}"
            ) from error

    async def close(self) -> None:
        """Ends everything that run has started."""
        if self._recorder is not None and self.state is not None:
            try:
                self._recorder.end(self.state)
            except StorageError as error:  # the parts must end all the same
                log.warning("the end is not in the metrics: %s", error)
        if self._verifier is not None:
            self._verifier.cancel()
            await asyncio.wait({self._verifier})
        for part in (self._pool, self._learners, *self._closing):
            if part is not None:
                await part.close()
        await asyncio.to_thread(ray_driver.disconnect)

    def _report(self, text: str) -> None:
        """Called from the thread that makes the model, which a stop must end too."""
        if self._desk.control.stop_requested:
            raise StopRequested("Stopped on request before the first step.")
        self._status.message(text)

    async def _train(
        self, model_dir: Path, first: RunState, prompts: Prompts, verifier: VerifierClient
    ) -> RunState:
        """Starts learners, loads the last checkpoint into them, and runs the loop."""
        desk, status = self._desk, self._status
        self._joined = False
        status.message("Waiting for the trainers")
        await ray_driver.wait_for_trainers(
            self._spec.world_size,
            leaving=self._leaving,
            timeout_s=TRAINER_WAIT_S,
            report=desk.report_trainers,
        )
        self._joined = True
        status.message("Loading the learners")
        learners = self._learners = await start.learners(desk.context, model_dir)
        state = self.state = await actions.go_on(desk, learners, first)
        status.message("Waiting for the engines")
        parts = self._parts(prompts, verifier, learners)
        try:
            return await train(parts, state)
        finally:
            await parts.collector.close()

    def _parts(
        self, prompts: Prompts, verifier: VerifierClient, learners: RayLearnerGroup
    ) -> Parts:
        desk, recorder = self._desk, self._recorder
        assert recorder is not None
        assert self._pool is not None
        sampler = Sampler(generate=self._generate, verifier=verifier, journal=desk.journal)
        return Parts(
            spec=self._spec,
            live_spec=desk.live_spec,
            prompts=prompts,
            sampler=sampler,
            collector=Collector(self._spec, prompts, sampler, hold=self._pool.hold),
            learners=learners,
            publish=self._publish,
            save=self._save,
            save_age_s=self._saves.age_s,
            settle=self._saves.settle,
            roll_back=partial(
                actions.roll_back,
                saves=self._saves,
                learners=learners,
                status=self._status,
                found=lambda m: recorder.found_checkpoint(m, desk.context.checkpoint_uri(m.step)),
            ),
            wait_for_resume=partial(
                actions.wait_for_resume,
                control=desk.control,
                status=self._status,
                at_safe_point=self._at_safe_point,
            ),
            reset_requests=lambda: desk.control.reset_requests,
            shards_of=partial(actions.shards_of, saves=self._saves),
            at_safe_point=self._at_safe_point,
            finished=partial(setattr, self, "state"),
            recorder=recorder,
        )

    def _version(self) -> str:
        assert self.state is not None
        return version_name(self._desk.attempt, self.state.step)

    async def _publish(self, state: RunState) -> None:
        assert self._pool is not None
        self.state = state
        await self._pool.publish()
        self._status.stage(Stage.TRAINING)

    async def _send(self, engines: Sequence[RayEngine]) -> None:
        if self._learners is None:
            raise TrainerLostError("No learner is there to send weights.")
        await self._learners.publish(engines, self._version())

    async def _generate(self, requests: Sequence[GenerationRequest], taken: OnCompletion) -> None:
        assert self._pool is not None
        if self._spec.rollout.max_staleness == 0:  # else the collector drops what is too old
            taken = actions.only_of(self._version, taken)
        await self._pool.generate(requests, taken)

    async def _save(self, state: RunState) -> None:
        assert self._learners is not None
        self.state = state
        await self._saves.begin(state, self._learners)

    def _durable(self, manifest: Manifest, state: RunState, times: SaveTimes) -> None:
        assert self._recorder is not None
        assert self.state is not None
        uri = self._desk.context.checkpoint_uri(manifest.step)
        self._recorder.checkpoint(manifest, state, uri, times)
        self._desk.control.durable(state, finished=self.state.step)
        self._desk.journal.forget(state.step)

    async def _at_safe_point(self, state: RunState) -> None:
        """Saves if anybody asks for it; then stops, or lets trainers go."""
        leaving = await actions.answer(
            state, control=self._desk.control, saves=self._saves, save=self._save
        )
        if leaving:
            await self._expect_to_leave(set(leaving.values()))
            raise TrainerLostError(f"{', '.join(sorted(leaving))} was told to go.")

    async def _expect_to_leave(self, addresses: set[str]) -> None:
        if addresses:
            nodes = await asyncio.to_thread(ray_driver.live_nodes)
            self._leaving |= ray_driver.trainers_at(addresses, nodes)

    async def _lose_learners(self, error: TrainerLostError) -> None:
        """The ranks are gone or going: end the rest of them; the loop starts again."""
        log.warning("learners lost, going back to the last checkpoint: %s", error)
        self._status.stage(Stage.RECOVERING, str(error))
        self._status.learner_restarted()
        self._desk.metrics.count("learner_restarts")
        control = self._desk.control
        await self._expect_to_leave(set(control.trainers_leaving.values()))
        control.release_all()
        if self._learners is not None:
            await self._learners.close()
            self._learners = None
        await self._saves.end()  # its writers are gone
        if control.stop_requested:
            raise StopRequested("Stopped on request while no learner was there.")
