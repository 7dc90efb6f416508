"""The agents with real Ray in two pods made of namespaces, around a scripted coordinator."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from netns_pods import CAN_RUN, NETWORK, Pod, Pods, pod_network
from prorl_api import runtime
from prorl_api.exit_codes import ExitCode
from prorl_api.runtime import Env
from prorl_api.spec_roles import Role
from prorl_api.wire import Outcome, TerminationMessage

ROOT = Path(__file__).parents[2]
HEAD, NODE = 2, 3
SCRIPTED_EXIT_CODE = 7
RAY_ENDS_IN_ORDER = "received SIGTERM. Draining"
"""What `ray start` writes when it is told to end, and nothing when it is killed."""
PATHS = os.pathsep.join(str(ROOT / name) for name in ("crds", "trainer_image"))

LIST_NODES = f"""
import json
from ray._raylet import GcsClient
nodes = GcsClient(address="{NETWORK}.{HEAD}:{runtime.RAY_GCS_PORT}").get_all_node_info(timeout=3)
print(json.dumps([
    [n.node_manager_address, dict(n.resources_total)] for n in nodes.values() if n.state == 0
]))
"""


class Bench:
    """Starts agents and asks their surroundings."""

    def __init__(self, pods: Pods, directory: Path) -> None:
        self._pods = pods
        self._directory = directory

    def head(self, session: str) -> Pod:
        return self._start(
            Role.COORDINATOR,
            HEAD,
            [sys.executable, str(Path(__file__).with_name("scripted_head.py")), "head"],
            SCRIPT_SESSION=session,
        )

    def node(self, role: Role, **changes: Any) -> Pod:
        command = [sys.executable, "-m", "prorl_trainer.agent", str(role)]
        return self._start(role, NODE, command, **changes)

    def _start(self, role: Role, number: int, command: list[str], **changes: Any) -> Pod:
        environment = {
            Env.ROLE: role,
            Env.INDEX: 0,
            Env.POD_NAME: f"job-{role}-0",
            Env.POD_IP: f"{NETWORK}.{number}",
            Env.COORDINATOR_HOST: f"{NETWORK}.{HEAD}",
            Env.NUM_GPUS: 0,
            Env.GRACE_SECONDS: 60,
            "PRORL_TOKEN_DIR": self.tokens(api="a" * 64, ray="b" * 64),
            "PRORL_TERMINATION_LOG": self.termination(role),
            "PYTHONPATH": PATHS,
            **changes,
        }
        return self._pods.start(f"{role}", number, command, environment)

    def tokens(self, **tokens: str) -> Path:
        directory = Path(tempfile.mkdtemp(dir=self._directory))
        for name, token in tokens.items():
            (directory / name).write_text(token)
        return directory

    def termination(self, role: Role) -> Path:
        return self._directory / f"{role}.termination"

    def final_word(self, role: Role) -> TerminationMessage:
        return TerminationMessage.model_validate_json(self.termination(role).read_bytes())

    def ray_nodes(self) -> dict[str, dict[str, float]]:
        """Resources of the live Ray nodes by address."""
        environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "b" * 64}
        done = subprocess.run(
            [sys.executable, "-c", LIST_NODES],
            env=environment, capture_output=True, timeout=20, check=True,
        )  # fmt: skip
        return dict(json.loads(done.stdout))


def http(number: int, port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body; 0 while nobody listens."""
    request = urllib.request.Request(f"http://{NETWORK}.{number}:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def ready() -> bool:
    return http(NODE, runtime.AGENT_PORT, "/readyz")[0] == 200


def eventually(what: str, condition: Callable[[], Any], timeout_s: float, *pods: Pod) -> float:
    """Waits for the condition; returns how long it took in seconds."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > timeout_s:
            logs = "\n".join(f"--- {pod.name}\n{pod.log.read_text()[-3000:]}" for pod in pods)
            pytest.fail(f"not within {timeout_s} s: {what}\n{logs}")
        time.sleep(0.1)
    return time.monotonic() - begin


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    if not CAN_RUN:
        pytest.skip("pods of namespaces need root, ip and unshare")
    lock = Path(tempfile.gettempdir()) / "prorl-ray-tests.lock"
    with lock.open("w") as file, ExitStack() as stack:
        fcntl.flock(file, fcntl.LOCK_EX)
        stack.enter_context(pod_network())
        yield Bench(Pods(stack, tmp_path), tmp_path)


def test_a_trainer_joins_rejoins_a_new_head_and_goes_when_it_is_let_go(bench: Bench) -> None:
    head = bench.head("first")
    node = bench.node(Role.TRAINER)
    joined_s = eventually("the trainer joins", ready, 40, head, node)
    assert bench.ray_nodes()[f"{NETWORK}.{NODE}"]["prorl_trainer"] == 1

    head.kill()
    head = bench.head("second")
    rejoined_s = eventually(
        "the trainer is seen by the new head",
        lambda: (
            http(HEAD, runtime.COORDINATOR_PORT, "/healthz")[0] == 200
            and ready()
            and f"{NETWORK}.{NODE}" in bench.ray_nodes()
        ),
        40,
        head,
        node,
    )
    print(f"joined after {joined_s:.1f} s, rejoined after {rejoined_s:.1f} s")

    node.terminate()
    eventually(
        "the notice arrives",
        lambda: "job-trainer-0" in http(HEAD, runtime.COORDINATOR_PORT, "/script/leaving")[1],
        10,
        node,
    )
    assert node.running
    http(HEAD, runtime.COORDINATOR_PORT, "/script/saved", "POST")
    assert node.wait(15) == ExitCode.SUCCEEDED
    word = bench.final_word(Role.TRAINER)
    assert (word.outcome, word.reason) == (Outcome.STOPPED, "Stopped")
    assert "step 42" in word.message
    assert RAY_ENDS_IN_ORDER in node.log.read_text()

    head.terminate()
    assert head.wait(20) == SCRIPTED_EXIT_CODE


def test_a_node_that_has_died_is_replaced_without_its_leftovers(bench: Bench) -> None:
    head = bench.head("only")
    node = bench.node(Role.ROLLOUT)
    eventually("the rollout joins", ready, 40, head, node)
    before = set(node.processes())
    os.kill(node.processes("raylet/raylet")[0], signal.SIGKILL)
    eventually("the node is given up", lambda: not ready(), 20, node)
    eventually("the node joins again", ready, 40, head, node)
    assert len(before & set(node.processes())) == 1  # PID 1
    assert bench.ray_nodes()[f"{NETWORK}.{NODE}"]["prorl_rollout"] == 1
    node.terminate()
    assert node.wait(15) == ExitCode.SUCCEEDED


@pytest.mark.parametrize(
    ("wrong", "text"),
    [("api", "API token"), ("ray", "Ray token")],
)
def test_a_wrong_token_ends_the_pod_with_its_own_exit_code(
    bench: Bench, wrong: str, text: str
) -> None:
    head = bench.head("only")
    tokens = {"api": "a" * 64, "ray": "b" * 64, wrong: "c" * 64}
    node = bench.node(Role.ROLLOUT, PRORL_TOKEN_DIR=bench.tokens(**tokens))
    assert node.wait(60) == ExitCode.UNAUTHORIZED, head.log.read_text()
    word = bench.final_word(Role.ROLLOUT)
    assert (word.outcome, word.reason) == (Outcome.FAILED, "Unauthorized")
    assert text in word.message


def test_a_dead_head_ends_the_coordinators_pod_with_a_message(bench: Bench) -> None:
    head = bench.head("only")
    eventually("the head is up", lambda: "Ray runtime started" in head.log.read_text(), 40, head)
    os.kill(head.processes("gcs/gcs_server")[0], signal.SIGKILL)
    assert head.wait(40) == ExitCode.INTERNAL, head.log.read_text()
    assert "Ray head ended" in bench.final_word(Role.COORDINATOR).message


def test_a_trainer_whose_coordinator_has_died_goes_without_telling_ray(bench: Bench) -> None:
    head = bench.head("only")
    node = bench.node(Role.TRAINER)
    eventually("the trainer joins", ready, 40, head, node)
    head.kill()
    node.terminate()
    assert node.wait(30) == ExitCode.SUCCEEDED
    assert "cannot be reached" in bench.final_word(Role.TRAINER).message
    assert RAY_ENDS_IN_ORDER not in node.log.read_text(), "it would wait for its actors' owner"


def test_a_pod_without_a_coordinator_goes_by_itself(bench: Bench) -> None:
    node = bench.node(Role.TRAINER)
    eventually("health", lambda: http(NODE, runtime.AGENT_PORT, "/healthz")[0] == 200, 10, node)
    assert not ready()
    node.terminate()
    assert node.wait(30) == ExitCode.SUCCEEDED
    assert "cannot be reached" in bench.final_word(Role.TRAINER).message
