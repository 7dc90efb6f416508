"""Which runs there are, and running them through `prorl run`."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from prorl_api.exit_codes import ExitCode
from prorl_api.wire import TerminationMessage
from pydantic import ValidationError

HERE = Path(__file__).parent
RECIPE = HERE / "recipe.yaml"
LONG = "long"
"""Directory of the long run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """plan.yaml: lists of changes to recipe.yaml."""

    seeds: list[int]
    ablations: dict[str, list[str]]
    long: list[str]


def read_plan(path: Path = HERE / "plan.yaml") -> Plan:
    """The plan. Raises TypeError for a field that is missing or unknown."""
    return Plan(**yaml.safe_load(path.read_text()))


def run(
    file: Path, directory: Path, *, seed: int, changes: Sequence[str] = (), fresh: bool = False
) -> int:
    """One run, or the rest of it; returns the exit code of `prorl run`."""
    command = [sys.executable, "-m", "prorl_cli.main", "run", str(file), "--out", str(directory)]
    command += ["--seed", str(seed), *(["--fresh"] if fresh else [])]
    for change in changes:
        command += ["--set", change]
    return subprocess.run(command).returncode


def ablations(plan: Plan, out: Path) -> int:
    """All configurations and seeds that have not succeeded yet, seed by seed so that an early end
    leaves whole seeds. Returns how many have failed."""
    codes = [
        run(RECIPE, directory(out, name, seed), seed=seed, changes=changes)
        for seed in plan.seeds
        for name, changes in plan.ablations.items()
        if not has_succeeded(directory(out, name, seed))
    ]
    return sum(code != 0 for code in codes)


def has_succeeded(run_directory: Path) -> bool:
    """Its last word says so."""
    try:
        text = (run_directory / "termination.json").read_bytes()
        word = TerminationMessage.model_validate_json(text)
    except (OSError, ValidationError):
        return False
    return word.exit_code == ExitCode.SUCCEEDED


def directory(out: Path, name: str, seed: int) -> Path:
    """Where the run of this configuration and seed is."""
    return out / name / f"seed{seed}"
