"""One attempt of the run, in this process: the coordinator's whole life without Ray.

Real: Session with all of its wiring, loop, engine pool, transformers engine, learner rank, data,
scorer, journal, checkpoints, SIGTERM and what it leads to. Left out: placing learners and engines
in processes of their own, the weight channel between them, and the verifier's HTTP.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from marks import Marks, Stage
from parts import Engine, JournalFiles, Judge, Learners, OnePlace, Store, append
from prorl_api.commands import Command, CommandKind
from prorl_api.exit_codes import ExitCode
from prorl_trainer import actions, start
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.context import Context
from prorl_trainer.data.cache import DataCache
from prorl_trainer.data.source import Prompts
from prorl_trainer.desk import Desk
from prorl_trainer.lifetime import make_desk, train
from prorl_trainer.loop import Parts
from prorl_trainer.loop import train as steps
from prorl_trainer.rollout.pool import EnginePool
from prorl_trainer.session import Session
from prorl_trainer.types import (
    Completion,
    GenerationRequest,
    OnCompletion,
)

DRAWN, RESULT = "drawn.txt", "result.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slow:
    """All groups of one step but its first take their time, side by side."""

    step: int
    """Finished steps when it begins."""
    seconds: float


class Here(Session):
    """A session whose parts are all in this process."""

    def __init__(self, desk: Desk, marks: Marks, slow: Slow | None) -> None:
        super().__init__(desk)
        self._marks = marks
        self._slow = slow
        self._groups = 0
        """Of the slow step."""
        self._drawn = desk.context.directory / DRAWN

    async def run(self) -> RunState:
        """See Session."""
        desk, spec = self._desk, self._spec
        context = desk.context
        await start.claim(desk)
        cache = DataCache(context.directory / "data", self._report)
        model_dir, tokenizer = await start.model(context, cache)
        prompts = await asyncio.to_thread(Prompts, spec, tokenizer, cache)
        first = start.first_state(context.job, prompts)
        self.state, checkpoint = await start.last_state(desk, first)
        self._recorder = start.recorder(desk, self.state, checkpoint)
        self._pool = EnginePool(
            places=OnePlace(),
            start=lambda _: Engine(model_dir),
            send=self._send,
            min_engines=1,
            report=start.EngineReport(desk),
        )
        self._pool.open()
        learners = Learners(model_dir, context.directory, self._marks)
        self._learners = learners
        self.state = await actions.go_on(desk, learners, first)
        self._marks.end(Stage.LOADING)
        parts = self._parts(prompts, Judge(self._marks), learners)
        try:
            return await steps(parts, self.state)
        finally:
            await parts.collector.close()
            await self._saves.end()

    def _parts(self, *given: Any) -> Parts:
        parts = super()._parts(*given)
        return replace(parts, wait_for_resume=partial(self._pause, parts))

    async def _pause(self, parts: Parts, state: RunState) -> None:
        """Somebody says Resume at once, unless the run is told to stop just here."""
        with self._marks.during(Stage.PAUSED):
            if not self._marks.hit:
                resume = Command(id=f"resume-{state.step}", kind=CommandKind.RESUME)
                loop = asyncio.get_running_loop()
                loop.call_soon(self._desk.control.command, resume)
            await parts.wait_for_resume(state)

    async def _publish(self, state: RunState) -> None:
        with self._marks.during(Stage.SYNC):
            await super()._publish(state)

    async def _generate(self, requests: Sequence[GenerationRequest], taken: OnCompletion) -> None:
        assert self.state is not None
        name, step = requests[0].request_id, self.state.step
        append(self._drawn, f"{step} {name}")

        def told(completion: Completion) -> None:
            with self._marks.during(Stage.DRAWN):
                taken(completion)

        is_validation = name.startswith("validation")
        with self._marks.during(Stage.VALIDATING if is_validation else Stage.GENERATING):
            if not is_validation:
                await self._take_time(step)
            await super()._generate(requests, told)

    async def _take_time(self, step: int) -> None:
        if self._slow is not None and self._slow.step == step:
            self._groups += 1
            await asyncio.sleep(self._slow.seconds if self._groups > 1 else 0.0)

    async def close(self) -> None:
        """Without Ray there is nothing to disconnect."""
        if self._recorder is not None and self.state is not None:
            self._recorder.end(self.state)
        if self._pool is not None:
            await self._pool.close()

    @property
    def digests(self) -> dict[str, str]:
        """sha256 of policy, optimizer and reference as they are now."""
        assert isinstance(self._learners, Learners)
        return self._learners.learner.parts()


async def live(context: Context, marks: Marks, slow: Slow | None = None) -> int:
    """An attempt until it ends: its exit code. A run that is finished leaves its result."""
    desk = make_desk(context, Store(context, marks), JournalFiles(marks))
    desk.control.listen()
    marks.end(Stage.LOADING)
    marks.begin(Stage.LOADING)  # again, now that a signal would be heard
    session = Here(desk, marks, slow)
    message = await train(desk, session)
    result = message.model_dump(mode="json")
    if message.exit_code == ExitCode.SUCCEEDED:
        result["digests"] = session.digests
    result["times"] = {stage.name: times for stage, times in marks.times.items()}
    (context.directory / RESULT).write_text(json.dumps(result))
    return int(message.exit_code)
