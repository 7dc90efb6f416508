"""Flags and environment of the operator."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from prorl_api import runtime

from prorl_operator.errors import SettingsError

DEFAULT_IMAGE = "ghcr.io/prorl/prorl-trainer:0.1.0"
SHORTEST_KEY = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Read once at start."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to watch; none means all."""
    image: str = DEFAULT_IMAGE
    verifier_image: str = ""
    """Of verifiers in jobs without an image of their own; empty means image."""
    key: bytes
    """Secret from which the tokens of all jobs are derived."""
    workers: int = 16
    """A pass waits for the API server most of the time. Each keeps a connection of its own busy."""
    metrics_port: int = 8080
    """0 picks a free one."""
    leader_election: bool = True
    leader_election_namespace: str = "default"
    identity: str = "prorl-operator"
    resync_s: float = 300.0
    poll_s: float = 2.0
    """Time between two looks at a running coordinator."""
    coordinator_port: int = runtime.COORDINATOR_PORT
    kubeconfig: str | None = None
    """None: the pod's service account, else $KUBECONFIG."""
    log_level: str = "INFO"


def parse_settings(arguments: list[str]) -> Settings:
    """Every flag may come from PRORL_OPERATOR_<FLAG>. Raises SettingsError."""
    options = _parser().parse_args(arguments)
    given = options.namespace or [_env("namespace") or ""]
    listed = [name for text in given for name in text.split(",")]
    namespaces = tuple(sorted({name.strip() for name in listed if name.strip()}))
    return Settings(
        namespaces=namespaces,
        image=options.image,
        verifier_image=options.verifier_image,
        key=_read_key(options.key_file),
        workers=options.workers,
        metrics_port=options.metrics_port,
        leader_election=not options.no_leader_election,
        leader_election_namespace=options.leader_election_namespace,
        identity=options.identity,
        resync_s=options.resync_seconds,
        poll_s=options.poll_seconds,
        coordinator_port=options.coordinator_port,
        kubeconfig=options.kubeconfig,
        log_level=options.log_level,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m prorl_operator",
        description="Keeps the ProRLJobs of a cluster as their specs want them.",
        epilog="Every flag may also be given as an environment variable PRORL_OPERATOR_FLAG.",
    )
    add = parser.add_argument
    add(
        "--namespace",
        action="append",
        help="watch this namespace only; may be repeated or hold a list (default: all)",
    )
    add("--image", default=_env("image", DEFAULT_IMAGE), help="trainer image of jobs without one")
    add("--verifier-image", default=_env("verifier_image", ""), help="default: --image")
    add("--key-file", type=Path, default=_env("key_file"), help="key for the tokens of jobs")
    add("--workers", type=_positive, default=_env("workers", "16"), help="reconciles at once")
    add("--metrics-port", type=int, default=_env("metrics_port", "8080"))
    add(
        "--no-leader-election",
        action="store_true",
        default=(_env("no_leader_election") or "").lower() in ("1", "true", "yes"),
        help="only for one instance",
    )
    add(
        "--leader-election-namespace",
        default=_env("leader_election_namespace", _own_namespace()),
        help="namespace of the Lease (default: the pod's own)",
    )
    add("--identity", default=_env("identity", _host_name()), help="name in the Lease")
    add("--resync-seconds", type=float, default=_env("resync_seconds", "300"))
    add("--poll-seconds", type=float, default=_env("poll_seconds", "2"))
    port = str(runtime.COORDINATOR_PORT)
    add("--coordinator-port", type=int, default=_env("coordinator_port", port))
    add("--kubeconfig", default=_env("kubeconfig"), help="default: the pod's service account")
    add("--log-level", default=_env("log_level", "INFO"))
    return parser


def _env(flag: str, default: str | None = None) -> str | None:
    return os.environ.get(f"PRORL_OPERATOR_{flag.upper()}", default)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


def _host_name() -> str:
    return os.environ.get("HOSTNAME") or f"pid-{os.getpid()}"


def _own_namespace() -> str:
    path = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    return path.read_text().strip() if path.exists() else "default"


def _read_key(path: Path | str | None) -> bytes:
    if path is None:
        raise SettingsError("--key-file is not given: the tokens of jobs are derived from it.")
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"--key-file {path} cannot be read: {error.strerror}.") from error
    if len(key) < SHORTEST_KEY:
        raise SettingsError(
            f"--key-file {path} holds {len(key)} bytes; at least {SHORTEST_KEY} are needed."
        )
    return key
