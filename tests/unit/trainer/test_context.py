"""What a coordinator reads of its pod."""

from pathlib import Path

import pytest
from prorl_api import runtime
from prorl_api.runtime import Env
from prorl_trainer.context import cluster_context
from prorl_trainer.errors import ConfigError
from run_context import make_context

TOKENS = ("API_TOKEN_FILE", "RAY_TOKEN_FILE", "VERIFIER_TOKEN_FILE")


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As the operator makes it for the third attempt."""
    (tmp_path / "job.json").write_text(make_context(tmp_path).job.model_dump_json(by_alias=True))
    monkeypatch.setattr(runtime, "JOB_FILE", tmp_path / "job.json")
    for name in TOKENS:
        (tmp_path / name).write_text(f"{name}\n")
        monkeypatch.setattr(runtime, name, tmp_path / name)
    for env, value in (
        (Env.ATTEMPT, "3"),
        (Env.POD_IP, "10.0.0.1"),
        (Env.VERIFIER_URL, "http://v"),
    ):
        monkeypatch.setenv(env, value)
    return monkeypatch


def test_a_coordinator_knows_its_attempt_and_the_last_checkpoint(pod: pytest.MonkeyPatch) -> None:
    assert (cluster_context().attempt, cluster_context().durable_step) == (3, None)
    pod.setenv(Env.DURABLE_STEP, "40")
    assert cluster_context().durable_step == 40


def test_what_the_operator_has_not_set_is_named(pod: pytest.MonkeyPatch) -> None:
    pod.delenv(Env.VERIFIER_URL)
    with pytest.raises(ConfigError, match="PRORL_VERIFIER_URL is not set"):
        cluster_context()
