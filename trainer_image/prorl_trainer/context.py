"""Where a coordinator runs: in a pod, or on this machine. Everything else is the same."""

import os
from dataclasses import dataclass
from pathlib import Path

from prorl_api import runtime
from prorl_api.runtime import Env
from prorl_api.wire import JobDocument
from pydantic import ValidationError

from prorl_trainer.errors import ConfigError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """Paths, addresses and tokens of one coordinator process."""

    local: bool
    job: JobDocument
    directory: Path
    """The job's own directory, with checkpoints/, model/, data/, metrics.jsonl and tensorboard/."""
    attempt: int | None
    """Incarnation number given by the operator; None: count on from the checkpoints."""
    durable_step: int | None = None
    """Step of the last checkpoint that the operator knows of; None: it knows of none."""
    host: str
    """Address that the HTTP API binds to."""
    port: int
    """Port of the HTTP API; 0 picks a free one."""
    node_ip: str
    api_token: str
    ray_token: str
    verifier_token: str
    verifier_url: str | None
    """None: start a verifier on this machine."""
    termination_file: Path

    @property
    def checkpoints(self) -> Path:
        """Directory of the checkpoint store, unless that is a bucket."""
        return self.directory / "checkpoints"

    @property
    def journal(self) -> Path:
        """Directory of the journal, also where checkpoints are in a bucket."""
        return self.directory / "journal"

    @property
    def bucket(self) -> str | None:
        """s3://BUCKET/PREFIX of the checkpoint store; None: it is the directory."""
        storage = self.job.spec.checkpoint.storage
        if self.local or storage.uri is None:
            return None
        return storage.checkpoints_uri(self.job.name)

    def checkpoint_uri(self, step: int) -> str:
        """What status calls the checkpoint of a step: where a user finds it."""
        name = f"step-{step:08d}"
        if self.local:
            return str(self.checkpoints / name)
        return f"{self.job.spec.checkpoint.storage.checkpoints_uri(self.job.name)}/{name}"


def read_job(path: Path) -> JobDocument:
    """Raises ConfigError naming the file and the first wrong field."""
    try:
        return JobDocument.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"The job document {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"The job document {path} is wrong at {field}: {first['msg']}."
        ) from error


def cluster_context() -> Context:
    """Reads what the operator has put into the coordinator's pod (prorl_api.runtime)."""
    job = read_job(Path(runtime.JOB_FILE))
    return Context(
        local=False,
        job=job,
        directory=Path(runtime.STORAGE_DIR) / job.name,
        attempt=int(_env(Env.ATTEMPT)),
        durable_step=_durable_step(),
        host="0.0.0.0",
        port=runtime.COORDINATOR_PORT,
        node_ip=_env(Env.POD_IP),
        api_token=_token(Path(runtime.API_TOKEN_FILE)),
        ray_token=_token(Path(runtime.RAY_TOKEN_FILE)),
        verifier_token=_token(Path(runtime.VERIFIER_TOKEN_FILE)),
        verifier_url=_env(Env.VERIFIER_URL),
        termination_file=Path(os.environ.get("PRORL_TERMINATION_LOG", runtime.TERMINATION_LOG)),
    )


def local_context(directory: Path) -> Context:
    """Reads the run directory that `prorl run` has prepared: job.json and token."""
    token = _token(directory / "token")
    return Context(
        local=True,
        job=read_job(directory / "job.json"),
        directory=directory,
        attempt=None,
        host=LOOPBACK,
        port=0,
        node_ip=LOOPBACK,
        api_token=token,
        ray_token=token,
        verifier_token=token,
        verifier_url=None,
        termination_file=directory / "termination.json",
    )


def _env(name: Env) -> str:
    value = os.environ.get(name)
    if not value:
        raise ConfigError(f"The environment variable {name} is not set in the coordinator's pod.")
    return value


def _durable_step() -> int | None:
    value = os.environ.get(Env.DURABLE_STEP)
    return None if value is None else int(value)


def _token(path: Path) -> str:
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"The token {path} cannot be read: {error.strerror}.") from error
    if not token:
        raise ConfigError(f"The token {path} is empty.")
    return token
