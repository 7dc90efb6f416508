"""Every example is accepted, gives pods, and fits the machines that it names."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from prorl_api.job import parse_job
from prorl_api.spec_model import Domain
from prorl_api.spec_roles import Role
from prorl_api.validate import validate_text
from prorl_cli.main import main
from prorl_operator.build.config import slots
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.pods import build_pod

ROOT = Path(__file__).parents[3] / "examples"
EXAMPLES = sorted(ROOT.rglob("*.yaml"))
REAL = ROOT / "prorl-v2-1.5b.yaml"


def pods_of(path: Path) -> list[dict[str, Any]]:
    manifest = yaml.safe_load(path.read_text())
    manifest["metadata"] |= {"uid": "u", "namespace": "team"}
    job = parse_job(manifest)
    return [
        build_pod(job, slot, 1, default_image="image:1", ledger=Ledger())
        for slot in slots(job.spec)
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted(path: Path) -> None:
    assert validate_text(path.read_text()) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_gives_pods_of_every_role(path: Path) -> None:
    roles = {pod["metadata"]["labels"]["prorl.dev/role"] for pod in pods_of(path)}
    assert roles == {str(role) for role in Role}


def test_the_real_example_has_all_domains_to_train_and_to_measure() -> None:
    spec = parse_job(yaml.safe_load(REAL.read_text())).spec
    assert spec.data.validation is not None
    for sets in (spec.data.train, spec.data.validation.sets):
        assert {one.domain for one in sets} == set(Domain)
    assert spec.data.validation.samples_per_prompt > 1


def test_the_real_example_asks_for_eight_gpus_per_side_and_its_claims() -> None:
    limits: dict[str, int] = {}
    for pod in pods_of(REAL):
        role = pod["metadata"]["labels"]["prorl.dev/role"]
        (container,) = pod["spec"]["containers"]
        gpus = container["resources"]["limits"].get("nvidia.com/gpu", "0")
        limits[role] = limits.get(role, 0) + int(gpus)
        if role == "coordinator":
            mounts = {m["name"]: m.get("readOnly", False) for m in container["volumeMounts"]}
            assert (mounts["data-0"], mounts["export"]) == (True, False)
    assert limits == {"coordinator": 0, "trainer": 8, "rollout": 8, "verifier": 0}


def test_the_real_example_fits_80_gib_and_not_40() -> None:
    fits = CliRunner().invoke(main, ["plan", str(REAL)])
    assert (fits.exit_code, fits.output.splitlines()[-1]) == (0, "It fits.")
    small = CliRunner().invoke(main, ["plan", str(REAL), "--gpu-memory", "40Gi"])
    assert small.exit_code == 1
    tighter = ["--gpu-memory", "40Gi", "--set", "spec.trainer.activationCheckpointing=true"]
    assert CliRunner().invoke(main, ["plan", str(REAL), *tighter]).exit_code == 0
