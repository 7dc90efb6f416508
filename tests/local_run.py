"""`prorl run` as a process: started, watched, and known to have left nothing running."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from prorl_api.runtime import TRACKING_KEYS
from prorl_trainer.checkpoint.manifest import read_manifest

STEPS = 16
MARK = "PRORL_TEST_RUN"
CANARY = "canary-7d1f0c"
"""The value of every credential in a run's environment, which must turn up nowhere."""
CREDENTIALS = dict.fromkeys(
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", *TRACKING_KEYS),
    CANARY,
)
PRORL_RUN = (sys.executable, "-m", "prorl_cli.main", "run")
MANIFEST = f"""
apiVersion: prorl.dev/v1alpha1
kind: ProRLJob
metadata: {{name: tiny}}
spec:
  model: {{uri: "tiny://llama?layers=1&hidden=32&heads=2&warmupSteps=WARM&warmupBatch=16"}}
  data:
    train:
      - name: spell
        domain: logic
        uri: gym://reasoning-gym/spell_backward?size=16&min_word_len=3&max_word_len=3
  algorithm:
    steps: {STEPS}
    promptsPerStep: 8
    samplesPerPrompt: 4
    updatesPerStep: 2
    learningRate: 1.0e-3
    warmupSteps: 0
    sampling: {{maxPromptTokens: 64, maxResponseTokens: 6}}
  referenceReset: {{everySteps: 7}}
  checkpoint: {{everySteps: 2, keep: 3}}
  rollout: {{engine: transformers}}
"""


@dataclass(kw_only=True, slots=True)
class LocalRun:
    """A `prorl run` and its directory."""

    directory: Path
    cache: Path
    manifest: str = MANIFEST.replace("WARM", "150")
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> "LocalRun":
        """Starts it, or starts it again."""
        file = self.cache / f"{self.mark}.yaml"
        file.write_text(self.manifest)
        self.process = subprocess.Popen(
            [*PRORL_RUN, str(file), "--out", str(self.directory)],
            env=CREDENTIALS | os.environ | {"PRORL_CACHE": str(self.cache), MARK: self.mark},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return self

    def ended(self) -> tuple[int, str]:
        """Waits for the end: exit code and output. Nothing may be left running."""
        assert self.process is not None
        output, _ = self.process.communicate(timeout=300)
        _, alive = psutil.wait_procs(self.family(), timeout=30)
        assert alive == [], "left over"
        assert CANARY not in output
        return self.process.returncode, output

    def family(self) -> list[psutil.Process]:
        """All processes that this run has started."""
        return [p for p in psutil.process_iter() if _variable(p, MARK) == self.mark]

    def until(self, condition: Callable[[], bool]) -> None:
        """Returns when the condition holds; fails if the run ends before."""
        assert self.process is not None
        while not condition():
            try:
                self.process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(self.process.communicate()[0])

    def until_step(self, step: int) -> None:
        """Returns when the step is finished."""
        self.until(lambda: any(r["step"] >= step for r in self.records("step")))

    def coordinator(self) -> psutil.Process:
        """The process that `prorl run` watches."""
        return psutil.Process(json.loads((self.directory / "endpoint.json").read_text())["pid"])

    def actor(self, name: str) -> psutil.Process:
        """The Ray worker that carries an actor."""
        found = self.coordinator().children(recursive=True)
        return next(p for p in found if f"ray::{name}" in " ".join(p.cmdline()))

    def records(self, *kinds: str) -> list[dict[str, Any]]:
        """Whole lines of metrics.jsonl."""
        path = self.directory / "metrics.jsonl"
        text = path.read_text() if path.exists() else ""
        records = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        return [r for r in records if r["kind"] in kinds]

    def log(self) -> str:
        """What the coordinator has written."""
        return (self.directory / "logs" / "coordinator.log").read_text()

    def checkpoints(self) -> list[Path]:
        """Committed ones, oldest first."""
        found = (self.directory / "checkpoints").glob("step-*")
        return sorted(p for p in found if p.suffix == "")


def _variable(process: psutil.Process, name: str) -> str | None:
    try:
        value: str | None = process.environ().get(name)
    except psutil.Error:
        return None
    return value


def learned(run: LocalRun) -> list[tuple[int, float, float]]:
    """(step, loss, reward) of the steps that count: a run that goes back loses what came after."""
    steps: dict[int, tuple[int, float, float]] = {}
    for record in run.records("start", "step"):
        step, values = record["step"], record["values"]
        steps = {number: s for number, s in steps.items() if number <= step}
        if record["kind"] == "step":
            steps[step] = (step, values["loss"], values["reward_mean"])
    return [steps[step] for step in sorted(steps)]


def weights(run: LocalRun) -> dict[str, str]:
    """File -> checksum of policy, reference and optimizer after the last step."""
    manifest = read_manifest(run.checkpoints()[-1])
    assert manifest.step == STEPS
    return {n: e.checksum for n, e in manifest.files.items() if n.endswith(".distcp")}
