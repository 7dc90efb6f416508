"""A run of the loop in a directory: scripted learners, prompts and engines, a real store."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from journal_builders import make_journal
from prorl_api.job import ProRLJobSpec
from prorl_api.status import Progress
from prorl_api.wire import RoleCount, Stage, StatusDocument
from prorl_trainer import actions
from prorl_trainer.ahead import Collector
from prorl_trainer.checkpoint.checksum import checksum_of
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.collect import Sampler
from prorl_trainer.control import Control
from prorl_trainer.desk import Desk
from prorl_trainer.errors import NonFiniteError
from prorl_trainer.loop import Parts, train
from prorl_trainer.observe.metrics import Metrics
from prorl_trainer.observe.status import StatusHolder
from prorl_trainer.observe.tracker import Tracker
from prorl_trainer.recorder import Recorder
from prorl_trainer.saves import Saves, SaveTimes
from prorl_trainer.types import (
    Completion,
    FinishReason,
    GenerationRequest,
    OnCompletion,
    Prompt,
    ShardFiles,
    TrainingBatch,
    UpdateResult,
    UpdateSettings,
    Verdict,
)
from run_context import SET, make_context

ALGORITHM = {"steps": 8, "promptsPerStep": 1, "samplesPerPrompt": 2, "updatesPerStep": 1}
BASE = dict.fromkeys(
    ("loss", "grad_norm", "kl", "entropy", "clip_fraction_low", "clip_fraction_high"), 0.5
)
HIGH = 9.0


def make_prompt(ordinal: int) -> Prompt:
    return Prompt(
        ordinal=ordinal, set_name="sums", domain="math", verifier="math-verify", text="1+1?",
        token_ids=(1,), answer="2",
    )  # fmt: skip


class Prompts:
    """One held-out prompt."""

    fingerprints: dict[str, str] = {}

    def prompt(self, ordinal: int) -> Prompt:
        return make_prompt(ordinal)

    def validation(self) -> Sequence[Prompt]:
        return [make_prompt(-1)]


class ScriptedLearners:
    """`kl` has the KL of each update in turn, the last one for ever; None is not finite. The
    "policy" is the list of updates made. Nothing but an update takes time."""

    def __init__(self, kl: Sequence[float | None], update_s: float = 1.0) -> None:
        self.script = list(kl)
        self.update_s = update_s
        self.now_s = 0.0
        self.policy: list[float] = []
        self.rates: list[float] = []
        self.references: list[tuple[list[float], bool]] = []

    async def update(self, batch: TrainingBatch, settings: UpdateSettings) -> UpdateResult:
        kl = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        for _ in range(9):  # what is drawn meanwhile gets on
            await asyncio.sleep(0)
        self.now_s += self.update_s
        self.rates.append(settings.learning_rate)
        if kl is None:
            raise NonFiniteError("Loss nan or gradient norm nan is not finite.")
        self.policy = [*self.policy, kl]
        return UpdateResult(metrics=BASE | {"kl": kl})

    async def reset_reference(
        self, *, source: str | None = None, clear_optimizer: bool = False
    ) -> None:
        policy = self.policy if source is None else json.loads(Path(source, "a").read_text())
        self.references.append((policy, clear_optimizer))

    async def stage(self) -> None:
        self.staged = json.dumps(self.policy).encode()

    async def write(self, place: str, *, reference: bool = True) -> ShardFiles:
        data = self.staged
        Path(place, "a").write_bytes(data)
        return ShardFiles(files={"a": (len(data), checksum_of(data))})

    async def load(self, place: str) -> None:
        self.policy = json.loads(Path(place, "a").read_text())


class Run:
    """A run in a directory; `scores` are those of the evaluations in turn. Its clock is that of
    the learners."""

    def __init__(
        self, directory: Path, kl: Sequence[float | None], *, scores: Sequence[float] = (),
        algorithm: dict[str, Any] | None = None, every: int = 1, update_s: float = 1.0, **spec: Any,
    ) -> None:  # fmt: skip
        data: dict[str, Any] = {"train": [SET]}
        if scores:
            held_out = [SET | {"name": "held-out"}]
            data["validation"] = {"everySteps": 1, "samplesPerPrompt": 2, "sets": held_out}
        self.spec = ProRLJobSpec.model_validate(
            {
                "model": {"uri": "tiny://llama"},
                "data": data,
                "algorithm": ALGORITHM | (algorithm or {}),
                "checkpoint": {"everySteps": every},
                **({"referenceReset": {"everySteps": 0}} | spec),
            }
        )
        self.scores = list(scores)
        self.learners = ScriptedLearners(kl, update_s)
        self.directory = directory
        self.store = CheckpointStore(Directory(directory / "checkpoints"), keep=2)
        self.store.open_for_attempt(None)
        self.finished = 0
        self.control = Control()
        self.found: list[Manifest] = []
        self.ordinals: list[int] = []
        self.version = ""
        self.status = StatusHolder(
            StatusDocument(
                job_uid="u", attempt=1, stage=Stage.STARTING, ray_session="1-a", spec_hash="h",
                progress=Progress(), trainers=RoleCount(wanted=1, usable=1),
                engines=RoleCount(wanted=1, usable=1),
            )
        )  # fmt: skip
        self.saves = Saves(
            self.store, self.durable, self.status.waiting, lambda: self.learners.now_s
        )
        tracker, metrics = Tracker(directory, attempt=1, step=0), Metrics()
        self.recorder = Recorder(self.spec, tracker, metrics, self.status)
        context = make_context(directory, self.spec)
        self.desk = Desk(
            context=context, store=self.store, control=self.control, metrics=metrics,
            status=self.status, journal=make_journal(directory / "journal", 1).journal,
        )  # fmt: skip

    async def generate(
        self, requests: Sequence[GenerationRequest], on_completion: OnCompletion
    ) -> None:
        for request in requests:
            on_completion(
                Completion(
                    request_id=request.request_id, token_ids=(2,), mask=(True,), logprobs=(-1.0,),
                    finish_reason=FinishReason.STOP, weight_versions=(self.version,), text="2",
                )
            )  # fmt: skip

    async def verify(self, prompt: Prompt, completion: Completion) -> Verdict:
        sample = int(completion.request_id.rpartition("-")[2])
        if prompt.ordinal < 0:
            last = sample == 1 and len(self.scores) > 1
            return Verdict(score=self.scores.pop(0) if last else self.scores[0])
        if sample == 0:
            self.ordinals.append(prompt.ordinal)
        return Verdict(score=float(sample % 2))

    async def save(self, state: RunState) -> None:
        self.finished = state.step
        await self.saves.begin(state, self.learners)

    def durable(self, manifest: Manifest, state: RunState, times: SaveTimes) -> None:
        self.recorder.checkpoint(manifest, state, "", times)
        self.control.durable(state, finished=self.finished)

    async def at_safe_point(self, state: RunState) -> None:
        await actions.answer(state, control=self.control, saves=self.saves, save=self.save)

    async def publish(self, state: RunState) -> None:
        self.version = f"1-{state.step}"
        self.status.stage(Stage.TRAINING)

    def parts(self) -> Parts:
        sampler = Sampler(generate=self.generate, verifier=self)
        return Parts(
            spec=self.spec,
            live_spec=self.desk.live_spec,
            prompts=Prompts(),
            sampler=sampler,
            collector=Collector(self.spec, Prompts(), sampler, hold=lambda: None),
            learners=self.learners,
            publish=self.publish,
            save=self.save,
            save_age_s=self.saves.age_s,
            settle=self.saves.settle,
            roll_back=partial(
                actions.roll_back,
                saves=self.saves,
                learners=self.learners,
                status=self.status,
                found=self.found.append,
            ),
            wait_for_resume=partial(
                actions.wait_for_resume,
                control=self.control,
                status=self.status,
                at_safe_point=self.at_safe_point,
            ),
            reset_requests=lambda: self.control.reset_requests,
            shards_of=partial(actions.shards_of, saves=self.saves),
            at_safe_point=self.at_safe_point,
            finished=lambda state: setattr(self, "finished", state.step),
            recorder=self.recorder,
        )

    async def train(self, state: RunState | None = None) -> RunState:
        first = RunState(job_uid="u", job_name="j", spec_hash="h")
        try:
            return await train(self.parts(), state or first)
        finally:
            await self.saves.end()

    def records(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.directory / "metrics.jsonl").read_text().splitlines()
        return [r for r in map(json.loads, lines) if r["kind"] == kind]

    def steps_on_disk(self) -> list[int]:
        found = (self.directory / "checkpoints").glob("step-*")
        return sorted(int(p.name[5:]) for p in found if p.suffix == "")
