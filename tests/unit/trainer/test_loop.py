"""The loop over scripted learners and a real store: what is saved, loaded, reset and waited for."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from journal_builders import make_journal
from prorl_api.commands import Command, CommandKind, CommandState, configure
from prorl_api.job import ProRLJobSpec, parse_job
from prorl_api.live import live_of
from prorl_api.spec_lifecycle import Resume
from prorl_api.status import Progress
from prorl_api.wire import JobDocument, RoleCount, Stage, StatusDocument
from prorl_trainer import actions
from prorl_trainer.ahead import Collector
from prorl_trainer.checkpoint.directory import Directory
from prorl_trainer.checkpoint.manifest import Manifest
from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.collect import Sampler
from prorl_trainer.context import Context
from prorl_trainer.control import Control
from prorl_trainer.desk import Desk
from prorl_trainer.errors import GuardError, NonFiniteError, TrainingError
from prorl_trainer.loop import Parts, train
from prorl_trainer.observe.metrics import Metrics
from prorl_trainer.observe.status import StatusHolder
from prorl_trainer.observe.tracker import Tracker
from prorl_trainer.recorder import Recorder
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

SET: dict[str, Any] = {"name": "sums", "domain": "math", "uri": "gym://reasoning-gym/chain_sum"}
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
    "policy" is the list of updates made."""

    def __init__(self, kl: Sequence[float | None]) -> None:
        self.script = list(kl)
        self.policy: list[float] = []
        self.rates: list[float] = []
        self.references: list[tuple[list[float], bool]] = []

    async def update(self, batch: TrainingBatch, settings: UpdateSettings) -> UpdateResult:
        kl = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        for _ in range(9):  # what is drawn meanwhile gets on
            await asyncio.sleep(0)
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

    async def save(self, place: str) -> ShardFiles:
        data = json.dumps(self.policy).encode()
        Path(place, "a").write_bytes(data)
        return ShardFiles(files={"a": (len(data), hashlib.sha256(data).hexdigest())})

    async def load(self, place: str) -> None:
        self.policy = json.loads(Path(place, "a").read_text())


class Run:
    """A run in a directory; `scores` are those of the evaluations in turn."""

    def __init__(
        self, directory: Path, kl: Sequence[float | None], *, scores: Sequence[float] = (),
        algorithm: dict[str, Any] | None = None, every: int = 1, **spec: Any,
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
        self.learners = ScriptedLearners(kl)
        self.directory = directory
        self.store = CheckpointStore(Directory(directory / "checkpoints"), keep=2)
        self.store.open_for_attempt(None)
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
        tracker, metrics = Tracker(directory, attempt=1, step=0), Metrics()
        self.recorder = Recorder(self.spec, tracker, metrics, self.status)
        context = Context(
            local=True, attempt=None, directory=directory, host="", port=0, node_ip="",
            job=JobDocument(name="j", namespace="n", uid="u", spec=self.spec, hash="h"),
            api_token="", ray_token="", verifier_token="", verifier_url=None,
            termination_file=directory / "termination.json",
        )  # fmt: skip
        self.desk = Desk(
            context=context, store=self.store, attempt=1, control=self.control, metrics=metrics,
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
        manifest = await self.store.commit(state, self.learners.save, now=1.0)
        self.recorder.checkpoint(manifest, state, "", seconds=0.0)
        self.control.durable(state)

    async def at_safe_point(self, _: RunState) -> None:
        if self.control.stop_requested:
            raise TrainingError("stopped")

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
            roll_back=partial(
                actions.roll_back,
                store=self.store,
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
            shards_of=partial(actions.shards_of, store=self.store),
            at_safe_point=self.at_safe_point,
            finished=lambda _: None,
            recorder=self.recorder,
        )

    async def train(self, state: RunState | None = None) -> RunState:
        first = RunState(job_uid="u", job_name="j", spec_hash="h")
        return await train(self.parts(), state or first)

    def records(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.directory / "metrics.jsonl").read_text().splitlines()
        return [r for r in map(json.loads, lines) if r["kind"] == kind]

    def steps_on_disk(self) -> list[int]:
        found = (self.directory / "checkpoints").glob("step-*")
        return sorted(int(p.name[5:]) for p in found if p.suffix == "")


async def test_an_update_that_is_not_finite_is_skipped_and_the_run_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.1, None, None, 0.2])
    state = await run.train()
    assert run.learners.policy == [0.1] + [0.2] * 5
    assert run.ordinals == list(range(8)), "its prompts are used up"
    assert [r["values"]["non_finite"] for r in run.records("step")][:4] == [0.0, 1.0, 1.0, 0.0]
    skipped = run.records("step")[2]["values"]
    assert "kl" not in skipped
    assert (skipped["non_finite_steps"], skipped["health_non_finite_steps"]) == (2.0, 1.0)
    assert skipped["reward_std_math"] == 0.5
    assert state.guard.counts == {}


async def test_a_rollback_goes_to_the_last_checkpoint_from_before_the_signal(
    tmp_path: Path,
) -> None:
    """Step 4 measures the policy after step 3: that of step 2 is the last healthy one."""
    kl = [0.1, 0.2, 0.3, HIGH, HIGH, HIGH, 0.4]
    run = Run(tmp_path, kl, guard={"klAbove": 1, "consecutive": 3})
    state = await run.train()
    assert state.step == 8
    assert run.learners.policy == [0.1, 0.2] + [0.4] * 6
    assert run.ordinals == list(range(12)), "no prompt is drawn again"
    (record,) = run.records("guard")
    assert record["step"] == 6
    assert record["values"] | {"message": ""} == {
        "actions": 1, "lastAction": "Rollback", "lastRule": "klAbove", "lastStep": 6,
        "wentOnFrom": 2, "message": "",
    }  # fmt: skip
    assert [r["step"] for r in run.records("start")] == [2]
    assert run.status.document().guard == state.guard.last
    assert [m.step for m in run.found] == [2], "what stands is told"
    bad = [p.name[:13] for p in (tmp_path / "checkpoints").glob("*.bad-*")]
    assert sorted(bad) == ["step-00000004", "step-00000005"]


async def test_a_rollback_drops_what_was_begun_for_the_policy_that_it_gives_up(
    tmp_path: Path,
) -> None:
    run = Run(
        tmp_path, [0.1, 0.2, 0.3, HIGH, HIGH, HIGH, 0.4],
        guard={"klAbove": 1, "consecutive": 3}, rollout={"maxStaleness": 1},
    )  # fmt: skip
    assert (await run.train()).step == 8
    assert run.learners.policy == [0.1, 0.2] + [0.4] * 6
    assert run.ordinals.count(6) == 2, "its group was dropped, and so drawn again"


async def test_what_a_rollback_undoes_is_the_resets_since_then_too(tmp_path: Path) -> None:
    kl = [0.1, 0.2, 0.3, 0.3, HIGH, HIGH, HIGH, 0.4]
    run = Run(
        tmp_path, kl, every=2, guard={"klAbove": 1, "consecutive": 3},
        referenceReset={"everySteps": 5, "klSpike": {"enabled": False}},
    )  # fmt: skip
    state = await run.train()
    assert [r["step"] for r in run.records("guard")] == [7]
    assert [r["step"] for r in run.records("start")] == [2]
    assert [r["step"] for r in run.records("reset")] == [5, 5], "the first one was undone"
    assert (state.reference.version, state.reference.last_reset_step) == (1, 5)


async def test_rollbacks_are_used_up_then_the_run_fails_with_the_number(tmp_path: Path) -> None:
    kl = [0.1, *(0.1, HIGH, HIGH) * 3]
    run = Run(tmp_path, kl, guard={"klAbove": 1, "consecutive": 2, "maxRollbacks": 2})
    with pytest.raises(GuardError, match=r"kl was above 1 \(9 now\) .* 2 of 2 rollbacks"):
        await run.train()
    assert len(run.records("guard")) == 2
    assert run.store.load(Resume.LATEST) is not None


async def test_without_a_healthy_checkpoint_a_rollback_fails(tmp_path: Path) -> None:
    run = Run(tmp_path, [HIGH], guard={"klAbove": 1, "consecutive": 2})
    with pytest.raises(GuardError, match="has no checkpoint from before step 0"):
        await run.train()
    assert run.steps_on_disk() == [1], "what there is stays"


async def test_updates_that_stay_not_finite_end_with_the_code_of_that(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.1, None], guard={"action": "Fail"})
    with pytest.raises(NonFiniteError, match="not finite for 3 steps in a row up to step 4"):
        await run.train()
    assert run.learners.policy == [0.1]


async def test_a_pause_is_saved_and_waits_for_resume(tmp_path: Path) -> None:
    kl = [0.1, HIGH, HIGH, 0.2]
    guard = {"klAbove": 1, "consecutive": 2, "action": "Pause"}
    run = Run(tmp_path, kl, every=100, guard=guard)
    too_early = run.control.command(Command(id="a", kind=CommandKind.RESUME))
    assert (too_early.state, too_early.message) == (CommandState.FAILED, "The run is not paused.")
    training = asyncio.create_task(run.train())
    while run.status.document().stage is not Stage.PAUSED:
        await asyncio.sleep(0)
    message = run.status.document().message
    assert message.startswith("kl was above 1 (9 now) for 2 steps in a row up to step 3")
    assert run.steps_on_disk() == [3]

    training.cancel()
    await asyncio.wait({training})
    again = Run(tmp_path, [0.2], every=100, guard=guard)
    checkpoint = again.store.load(Resume.LATEST)
    assert checkpoint is not None
    training = asyncio.create_task(again.train(checkpoint.state))
    while again.status.document().stage is not Stage.PAUSED:
        await asyncio.sleep(0)
    resumed = again.control.command(Command(id="b", kind=CommandKind.RESUME))
    assert resumed.state is CommandState.DONE
    assert (await training).step == 8
    assert again.ordinals == [3, 4, 5, 6, 7]


async def test_a_stop_ends_a_pause(tmp_path: Path) -> None:
    run = Run(tmp_path, [HIGH], guard={"klAbove": 1, "consecutive": 1, "action": "Pause"})
    training = asyncio.create_task(run.train())
    while run.status.document().stage is not Stage.PAUSED:
        await asyncio.sleep(0)
    run.control.stop()
    with pytest.raises(TrainingError, match="stopped"):
        await training


async def test_a_new_best_is_saved_and_becomes_the_reference_of_a_later_reset(
    tmp_path: Path,
) -> None:
    run = Run(
        tmp_path, [0.1, 0.2, 0.3, 0.4], scores=[0.1, 0.1, 0.5, 0.4, 0.4, 0.4, 0.4], every=100,
        referenceReset={"everySteps": 4, "newReference": "Best", "optimizer": "Clear",
                        "rewarmSteps": 1, "stall": {"enabled": False}},
        algorithm={"steps": 6, "warmupSteps": 0, "learningRate": 1.0},
    )  # fmt: skip
    state = await run.train()
    assert run.learners.references == [([0.1, 0.2], True)]
    assert run.learners.rates == [1.0, 1.0, 1.0, 1.0, 0.5, 1.0]
    assert (state.best_steps, state.best_accuracy) == ([2], 0.5)
    assert run.steps_on_disk() == [2, 4, 6]
    assert state.reference.log[0].source_step == 2


async def test_a_best_checkpoint_that_is_lost_leaves_the_current_policy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(
        tmp_path, [0.1], scores=[0.5, 0.4], every=100,
        referenceReset={"everySteps": 2, "newReference": "Best"}, algorithm={"steps": 3},
    )  # fmt: skip
    save = run.save

    async def save_and_lose(state: RunState) -> None:
        await save(state)
        (tmp_path / "checkpoints" / "step-00000000" / "shards" / "a").write_text("{}")

    run.save = save_and_lose  # type: ignore[method-assign]
    state = await run.train()
    assert run.learners.references == [([0.1, 0.1], False)]
    assert state.reference.log[0].source_step == 2
    assert "the current policy becomes the reference" in caplog.text


async def test_a_stall_resets_in_the_step_that_shows_it(tmp_path: Path) -> None:
    run = Run(
        tmp_path, [0.1], scores=[0.5, 0.6, 0.6, 0.6, 0.6], every=100,
        referenceReset={"everySteps": 0, "minGapSteps": 0, "stall": {"evals": 2}},
    )  # fmt: skip
    await run.train()
    resets = [(r["step"], r["values"]["reason"]) for r in run.records("reset")]
    assert resets == [(3, "Stall"), (5, "Stall"), (7, "Stall")]


def ask(run: Run, command_id: str, kind: CommandKind = CommandKind.RESET_REFERENCE) -> CommandState:
    return run.control.command(Command(id=command_id, kind=kind)).state


async def test_a_reset_that_is_asked_for_is_made_once_and_done_when_it_is_durable(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, [0.1, 0.2, 0.3], every=100, referenceReset={"everySteps": 6})
    told: list[tuple[CommandState, int]] = []
    save = run.save

    async def save_and_look(state: RunState) -> None:
        told.append((ask(run, "a"), run.status.document().reference.version))
        await save(state)
        told.append((ask(run, "a"), run.status.document().reference.version))

    run.save = save_and_look  # type: ignore[method-assign]
    assert ask(run, "a") is CommandState.ACCEPTED
    state = await run.train()
    assert [(r["step"], r["values"]["reason"]) for r in run.records("reset")] == [
        (1, "Requested"), (7, "Interval"),
    ]  # fmt: skip
    assert told[:2] == [(CommandState.ACCEPTED, 0), (CommandState.DONE, 1)]
    assert run.steps_on_disk() == [7, 8]
    assert run.learners.references[0] == ([0.1], False)
    assert state.reference.log[0].requests == ["a"]
    counted = run.desk.metrics.registry.get_sample_value
    for reason in ("Requested", "Interval"):
        assert counted("prorl_reference_resets_total", {"reason": reason}) == 1
    assert run.control.results[0].message == "The reference is version 1, reset after step 1."


async def test_requests_of_one_moment_are_answered_by_one_reset(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.1])
    ask(run, "a"), ask(run, "b")
    state = await run.train()
    assert [(entry.step, entry.requests) for entry in state.reference.log] == [(1, ["a", "b"])]
    assert [result.state for result in run.control.results] == [CommandState.DONE] * 2


async def test_a_coordinator_that_dies_before_it_could_tell_does_not_reset_again(
    tmp_path: Path,
) -> None:
    """The operator, which has heard nothing, asks its successor again, at any moment."""
    first = Run(tmp_path, [0.1], algorithm={"steps": 3})
    ask(first, "a")
    await first.train()
    for early in (True, False):
        again = Run(tmp_path, [0.2], every=100)
        checkpoint = again.store.load(Resume.LATEST)
        assert checkpoint is not None
        if early:
            ask(again, "a")
        again.control.durable(checkpoint.state)
        assert ask(again, "a") is CommandState.DONE
        state = await again.train(checkpoint.state)
        assert (state.reference.version, again.learners.references) == (1, [])


async def test_a_reset_that_was_lost_with_its_checkpoint_is_made_by_the_next_coordinator(
    tmp_path: Path,
) -> None:
    first = Run(tmp_path, [0.1])
    ask(first, "a")

    async def die(_: RunState) -> None:
        raise TrainingError("killed")

    first.save = die  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="killed"):
        await first.train()
    assert len(first.learners.references) == 1
    assert first.status.document().reference.version == 0, "nothing of it is durable"
    again = Run(tmp_path, [0.2])
    ask(again, "a")
    assert (await again.train()).reference.version == 1


@pytest.mark.parametrize("every", [1, 3])
async def test_a_resume_never_moves_the_reference(tmp_path: Path, every: int) -> None:
    """Wherever a run is interrupted, its reference is the policy of the step that it would be."""
    made_of: dict[str, Any] = {
        "every": every, "referenceReset": {"everySteps": 2}, "algorithm": {"steps": 5},
    }  # fmt: skip
    whole = Run(tmp_path / "whole", [0.1], **made_of)
    log = (await whole.train()).reference.log
    for stop in range(1, 5):
        part = Run(tmp_path / str(stop), [0.1], **made_of)
        part.at_safe_point = partial(_stop_at, stop)  # type: ignore[method-assign]
        with pytest.raises(TrainingError, match="stopped"):
            await part.train()
        rest = Run(tmp_path / str(stop), [0.1], **made_of)
        checkpoint = rest.store.load(Resume.LATEST)
        if checkpoint is not None:
            await rest.learners.load(checkpoint.shards)
        state = await rest.train(checkpoint.state if checkpoint else None)
        assert state.reference.log == log
        made = part.learners.references + rest.learners.references
        assert [one for i, one in enumerate(made) if one not in made[:i]] == (
            whole.learners.references
        )


async def _stop_at(step: int, state: RunState) -> None:
    if state.step == step:
        raise TrainingError("stopped")


async def test_a_checkpoint_that_is_asked_for_in_a_pause_is_there_already(tmp_path: Path) -> None:
    run = Run(tmp_path, [HIGH], guard={"klAbove": 1, "consecutive": 1, "action": "Pause"})
    training = asyncio.create_task(run.train())
    while run.status.document().stage is not Stage.PAUSED:
        await asyncio.sleep(0)
    ask(run, "reset")
    ask(run, "save", CommandKind.CHECKPOINT)
    while run.control.save_requested:
        run.control.saved(1)
        await asyncio.sleep(0)
    assert run.learners.references == [], "a paused run holds it"
    ask(run, "on", CommandKind.RESUME)
    while ask(run, "reset") is CommandState.ACCEPTED:
        await asyncio.sleep(0)
    run.control.stop()
    with pytest.raises(TrainingError, match="stopped"):
        await training
    assert run.learners.references == [([HIGH, HIGH], False)]


def change(run: Run, generation: int, **spec: Any) -> None:
    """As the operator does when the job was changed."""
    body = run.spec.model_dump(by_alias=True)
    for block, values in spec.items():
        body[block] |= values
    metadata = {"name": "j", "generation": generation}
    run.control.command(configure(live_of(parse_job({"metadata": metadata, "spec": body}))))


async def test_a_run_goes_on_for_as_many_steps_as_it_is_given_before_its_last_one_is_done(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, [0.1], every=100, algorithm={"steps": 3}, rollout={"maxStaleness": 1})

    async def at_safe_point(state: RunState) -> None:
        if state.step == 2:
            change(run, 2, algorithm={"steps": 6}, checkpoint={"everySteps": 2, "keep": 4})

    run.at_safe_point = at_safe_point  # type: ignore[method-assign]
    assert (await run.train()).step == 6
    assert run.ordinals == list(range(6))
    assert run.steps_on_disk() == [4, 6], "3 is no multiple of 2, nor the last step any more"
    document = run.status.document()
    assert (document.generation, document.progress.total_steps) == (2, 6)
    assert (run.store.keep, run.desk.context.job.spec.algorithm.steps) == (4, 6)


async def test_what_was_changed_earlier_does_not_take_back_what_was_changed_later(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, [0.1], algorithm={"steps": 2})
    change(run, 3, algorithm={"steps": 4})
    change(run, 2, algorithm={"steps": 9})
    assert (await run.train()).step == 4


async def test_another_guard_ends_a_pause_and_the_next_step_obeys_it(tmp_path: Path) -> None:
    run = Run(tmp_path, [HIGH], guard={"klAbove": 1, "consecutive": 1, "action": "Pause"})
    training = asyncio.create_task(run.train())
    while run.status.document().stage is not Stage.PAUSED:
        await asyncio.sleep(0)
    change(run, 2, checkpoint={"keep": 9})
    assert run.control.paused, "the guard is as it was"
    change(run, 3, guard={"klAbove": 10})
    assert (await training).step == 8
    assert len(run.records("guard")) == 1
