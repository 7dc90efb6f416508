"""What the operator tells a Ray pod by its environment and its mounted tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prorl_api import runtime
from prorl_api.runtime import Env
from prorl_api.spec_roles import Role

from prorl_trainer.errors import ConfigError

TOKEN_DIR_OVERRIDE = "PRORL_TOKEN_DIR"
TERMINATION_OVERRIDE = "PRORL_TERMINATION_LOG"


@dataclass(frozen=True, kw_only=True, slots=True)
class PodSettings:
    """One Ray pod."""

    role: Role
    index: int
    pod_name: str
    pod_ip: str
    coordinator_host: str
    num_gpus: int
    grace_s: float
    """Seconds between SIGTERM and SIGKILL."""
    api_token: str
    ray_token: str


def read_settings(role: Role, environment: Mapping[str, str]) -> PodSettings:
    """Raises ConfigError naming the variable or file."""
    tokens = Path(environment.get(TOKEN_DIR_OVERRIDE, runtime.TOKEN_DIR))
    return PodSettings(
        role=role,
        index=_number(environment, Env.INDEX),
        pod_name=_text(environment, Env.POD_NAME),
        pod_ip=_text(environment, Env.POD_IP),
        coordinator_host=_text(environment, Env.COORDINATOR_HOST),
        num_gpus=_number(environment, Env.NUM_GPUS),
        grace_s=_number(environment, Env.GRACE_SECONDS),
        api_token=_token(tokens / runtime.API_TOKEN_FILE.name),
        ray_token=_token(tokens / runtime.RAY_TOKEN_FILE.name),
    )


def termination_file(environment: Mapping[str, str]) -> Path:
    """Where the final word goes."""
    return Path(environment.get(TERMINATION_OVERRIDE, runtime.TERMINATION_LOG))


def _text(environment: Mapping[str, str], name: Env) -> str:
    value = environment.get(name)
    if not value:
        raise ConfigError(f"The environment variable {name} is not set; the operator sets it.")
    return value


def _number(environment: Mapping[str, str], name: Env) -> int:
    value = _text(environment, name)
    if not value.isdecimal():
        raise ConfigError(f"The environment variable {name} is {value!r}, must be a number >= 0.")
    return int(value)


def _token(path: Path) -> str:
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"The token {path} cannot be read: {error.strerror}.") from error
    if not token:
        raise ConfigError(f"The token {path} is empty.")
    return token
