"""`prorl run` with the rollout one step ahead: stopped, resumed, and short of an engine."""

import json
import signal
from pathlib import Path

import pytest
from local_run import MANIFEST, STEPS, LocalRun
from prorl_api.exit_codes import ExitCode
from prorl_trainer.checkpoint.documents import CARRIED, DOCUMENTS, parse_state
from prorl_trainer.checkpoint.manifest import verify

AHEAD = (
    MANIFEST.replace("WARM", "150")
    .replace(
        "rollout: {engine: transformers}",
        "rollout: {engine: transformers, maxStaleness: 1, verifyWeights: true}",
    )
    .replace("    warmupSteps: 0\n", "    warmupSteps: 0\n    dynamicSampling: {oversample: 1.5}\n")
    .replace("checkpoint: {everySteps: 2, keep: 3}", "checkpoint: {everySteps: 1, keep: 99}")
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_a_run_ahead_is_stopped_loses_actors_and_ends_with_every_step_once(
    cache: Path, tmp_path: Path
) -> None:
    run = LocalRun(directory=tmp_path / "run", cache=cache, manifest=AHEAD).start()
    run.until_step(3)
    assert run.process is not None
    run.process.send_signal(signal.SIGINT)
    code, output = run.ended()
    assert code == ExitCode.STOPPED, output + run.log()
    stopped_at = run.records("step")[-1]["step"]
    assert f"Stopped, saved at step {stopped_at}. Run again to resume." in output

    run.start().until_step(stopped_at + 2)
    run.actor("EngineActor").kill()
    run.until_step(stopped_at + 4)
    run.actor("LearnerActor").kill()
    run.until(lambda: "learners lost" in run.log())
    code, output = run.ended()
    assert code == 0, output + run.log()

    steps = [r["values"] for r in run.records("step")]
    assert max(v["staleness_max"] for v in steps) == 1.0, "nothing was drawn ahead"
    assert min(v["staleness_max"] for v in steps) == 0.0
    assert sum(v["stale_dropped"] for v in steps) == 0
    check_frontiers(run)


def check_frontiers(run: LocalRun) -> None:
    """Every committed state verifies, and its prompts go on where those before ended."""
    states = [
        parse_state(
            {name: (p / name).read_bytes() for name in verify(p).files if name in DOCUMENTS}
        )
        for p in run.checkpoints()
    ]
    assert [s.step for s in states if s.step] == list(range(1, STEPS + 1))
    firsts = [state.next_ordinal for state in states]
    assert firsts == sorted(firsts)
    for state in states:
        waiting = [c.ordinal for c in state.carried] + state.returned
        assert len(waiting) == len(set(waiting))
        assert all(ordinal < state.next_ordinal for ordinal in waiting)
    files = {json.dumps(sorted(verify(p).files)) for p in run.checkpoints()}
    if any(state.carried for state in states):
        assert any(CARRIED in listed for listed in files)
