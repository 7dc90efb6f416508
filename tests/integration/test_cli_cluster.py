"""`prorl` against a real API server: what it shows, asks for and waits for."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cluster.control_plane import ControlPlane
from controller_cluster import JOBS, Api, Namespace, make_namespace, until
from helm import rendered
from kubectl import Kubectl
from prorl_cli.main import main

Prorl = Callable[..., Result]
STATUS: dict[str, Any] = {
    "phase": "Running",
    "attempt": 2,
    "restarts": 1,
    "progress": {"step": 7, "totalSteps": 50, "rewardMean": 0.53125, "kl": 0.01},
    "checkpoint": {
        "lastStep": 5, "lastTime": "2026-01-01T00:00:00Z", "uri": "pvc://c/q", "sizeBytes": 9,
    },
    "reference": {"version": 3, "lastResetStep": 4, "lastReason": "Interval", "nextResetStep": 8},
    "roles": {"rollout": {"desired": 2, "ready": 1, "failed": 1}},
    "conditions": [
        {
            "type": "Degraded", "status": "True", "reason": "RolesReduced",
            "message": "Training goes on: 1 of 2 rollout pods.", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
}  # fmt: skip


@pytest.fixture
def space(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Namespace:
    return make_namespace(Api(plane=control_plane), f"cli-{abs(hash(request.node.name))}")


@pytest.fixture
def prorl(space: Namespace, monkeypatch: pytest.MonkeyPatch) -> Prorl:
    monkeypatch.setenv("KUBECONFIG", str(space.api.plane.kubeconfig))
    return lambda *words: CliRunner().invoke(main, [*words, "--namespace", space.name])


def set_status(space: Namespace, **values: Any) -> None:
    path = f"{JOBS.format(space.name)}/q/status"
    space.api.merge(path, {"status": STATUS | values})


def test_a_screen_has_everything_that_a_status_says(prorl: Prorl, space: Namespace) -> None:
    space.create_job()
    set_status(space)
    shown = prorl("status", "q")
    assert shown.exit_code == 0, shown.output
    for said in ("Running", "7/50", "0.5312", "step 5, ", "version 3 since step 4 (Interval)",
                 "next at 8", "RolesReduced: Training goes on: 1 of 2 rollout pods."):  # fmt: skip
        assert said in shown.output
    assert json.loads(prorl("status", "q", "-o", "json").stdout)["progress"]["step"] == 7


def test_a_job_that_nobody_has_looked_at_yet_is_shown_all_the_same(
    prorl: Prorl, space: Namespace
) -> None:
    assert "no ProRLJob in namespace" in prorl("list").output
    space.create_job()
    assert "not seen yet" in prorl("status", "q").output
    assert prorl("list").output.split()[-10:-1] == [space.name, "q", *"-------"]
    assert prorl("events", "q").output == ""


def test_suspend_resume_and_scale_change_one_field_each(prorl: Prorl, space: Namespace) -> None:
    space.create_job()
    for words, spec in (
        (("suspend", "q"), {"suspend": True}),
        (("resume", "q"), {"suspend": False}),
        (("scale", "q", "--rollout", "3"), {"suspend": False, "rollout": {"replicas": 3}}),
    ):
        assert prorl(*words).exit_code == 0
        found = space.job()["spec"]
        assert found["suspend"] is spec["suspend"]
        assert found["rollout"]["replicas"] == spec.get("rollout", {"replicas": 1})["replicas"]


@pytest.mark.parametrize("words", [("status", "x"), ("suspend", "x"), ("wait", "x")])
def test_a_job_that_is_not_there_is_named_in_the_servers_words(
    prorl: Prorl, words: tuple[str, ...]
) -> None:
    refused = prorl(*words)
    assert refused.exit_code == 1
    assert '"x" not found' in refused.output


def meanwhile(change: Callable[[], None], command: Callable[[], Result]) -> Result:
    """The command's result. Raises what `change`, which happens beside it, has raised."""
    with ThreadPoolExecutor(1) as beside:
        changed = beside.submit(change)
        result = command()
        changed.result()
    return result


@pytest.mark.parametrize(
    ("wanted", "phase", "code"),
    [("Succeeded", "Succeeded", 0), ("Succeeded", "Failed", 1), ("Suspended", "Suspended", 0)],
)
def test_the_exit_code_of_wait_is_the_outcome(
    prorl: Prorl, space: Namespace, wanted: str, phase: str, code: int
) -> None:
    space.create_job()
    set_status(space)

    def change() -> None:
        until("prorl watches", space.api.watchers_of_one_job)
        set_status(space, phase=phase)

    ended = meanwhile(change, lambda: prorl("wait", "q", "--for", wanted, "--timeout", "60"))
    assert (ended.exit_code, ended.output) == (code, f"q: {phase}\n")


def test_waiting_ends(prorl: Prorl, space: Namespace) -> None:
    space.create_job()
    assert prorl("wait", "q", "--timeout", "1").exit_code == 124


ECHOES = {
    "checkpoint": ("checkpoint", "checkpoint", "the checkpoint of step 5 is durable at pvc://c/q"),
    "reset-reference": (
        "referenceReset", "reference", "the reference is version 3, reset after step 4 (Interval)",
    ),
}  # fmt: skip


def asked(space: Namespace, command: str) -> str:
    """The token, once there is one."""
    block, _, _ = ECHOES[command]
    return str(until("a token", lambda: space.job()["spec"].get(block, {}).get("requestToken")))


def echo(space: Namespace, command: str) -> None:
    """As the operator does when what the token asks for is durable."""
    _, part, _ = ECHOES[command]
    set_status(space, **{part: STATUS[part] | {"observedToken": asked(space, command)}})


@pytest.mark.parametrize("command", ECHOES)
def test_a_request_is_followed_until_its_token_is_echoed(
    prorl: Prorl, space: Namespace, command: str
) -> None:
    space.create_job()
    set_status(space)
    done = meanwhile(
        lambda: echo(space, command), lambda: prorl(command, "q", "--wait", "--timeout", "60")
    )
    assert done.exit_code == 0, done.output
    assert f"q: {ECHOES[command][2]}" in done.output
    late = prorl(command, "q", "--wait", "--timeout", "1", "-o", "json")
    assert (late.exit_code, json.loads(late.stdout)["done"]) == (124, False)


def test_nothing_is_asked_of_a_job_that_has_ended(prorl: Prorl, space: Namespace) -> None:
    space.create_job()
    set_status(space, phase="Failed")
    refused = prorl("checkpoint", "q")
    assert (refused.exit_code, "q has failed" in refused.output) == (1, True)
    assert "requestToken" not in space.job()["spec"]["checkpoint"]
    set_status(space)

    def end() -> None:
        asked(space, "reset-reference")
        set_status(space, phase="Succeeded")

    ended = meanwhile(end, lambda: prorl("reset-reference", "q", "--wait", "--timeout", "60"))
    assert (ended.exit_code, "has succeeded first" in ended.output) == (1, True)


def reader_of(space: Namespace, path: Path) -> Path:
    """A kubeconfig for a user with Kubernetes' role `view`, to which the chart adds."""
    account = {"kind": "ServiceAccount", "name": "reader", "namespace": space.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    binding = {"metadata": {"name": "reader"}, "roleRef": role, "subjects": [account]}
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}/rolebindings"
    space.api.request("POST", f"{space.core}/serviceaccounts", {"metadata": {"name": "reader"}})
    space.api.request("POST", bindings, binding)
    token = f"{space.core}/serviceaccounts/reader/token"
    answer = space.api.request("POST", token, {"spec": {"expirationSeconds": 3600}})
    config = json.loads(space.api.plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": answer["status"]["token"]}
    path.write_text(json.dumps(config))
    return path


def test_the_charts_viewer_may_read_everything_and_change_nothing(
    prorl: Prorl, space: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space.create_job()
    set_status(space)
    roles = [
        one
        for one in rendered(namespace=space.name, release="cli")
        if "aggregate-to-view" in str(one)
    ]
    Kubectl(space.api.plane).must("apply", "-f", "-", text=json.dumps(roles[0]))
    monkeypatch.setenv("KUBECONFIG", str(reader_of(space, tmp_path / "reader")))
    until("the role is part of view", lambda: prorl("list").exit_code == 0)
    for words in (("status", "q"), ("events", "q"), ("wait", "q", "--for", "Running")):
        done = prorl(*words)
        assert done.exit_code == 0, done.output
    assert "has no trainer pod" in prorl("logs", "q", "--role", "trainer").output
    for words in (("suspend", "q"), ("scale", "q", "--rollout", "3"), ("checkpoint", "q")):
        refused = prorl(*words)
        assert refused.exit_code == 1
        assert "cannot patch resource" in refused.output
    assert not space.api.get(f"{JOBS.format(space.name)}/q")["spec"]["suspend"]


def test_a_pod_that_is_not_there_is_named(prorl: Prorl, space: Namespace) -> None:
    space.create_job()
    refused = prorl("logs", "q", "--role", "trainer", "--index", "1")
    assert "q has no trainer pod 1" in refused.output


def test_without_a_cluster_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    refused = CliRunner().invoke(main, ["list"])
    assert refused.exit_code == 1
    assert "no cluster" in refused.output
