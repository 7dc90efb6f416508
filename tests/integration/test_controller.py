"""The operator against a real API server, with the rights of its chart and no more."""

import json
from pathlib import Path

from controller_builders import LEAST_DATA
from controller_cluster import JOBS, Namespace, until
from operator_process import Operator, running_operator
from played_job import FIRST, gone_or_leaving, start_all


def test_creates_every_object_in_a_restricted_namespace(
    operator: Operator, space: Namespace
) -> None:
    space.create_job()
    until("all pods", lambda: space.names("pods") == FIRST)
    assert {"q", "q-verifier"} <= space.names("services")
    assert "q-config" in space.names("configmaps")
    assert "q-tokens" in space.names("secrets")
    assert "q-checkpoints" in space.names("persistentvolumeclaims")
    until("Pending", lambda: space.status().get("phase") == "Pending")


def test_the_secret_of_the_data_is_read_by_the_coordinators_kubelet_alone(
    operator: Operator, space: Namespace
) -> None:
    """There is no such Secret: the operator, which may read none, makes the pods all the same."""
    space.create_job(data={"train": [LEAST_DATA], "credentialsSecret": "keys"})
    until("all pods", lambda: space.names("pods") == FIRST)
    for pod in FIRST:
        document = json.dumps(space.api.request("GET", f"{space.core}/pods/{pod}"))
        assert ('"secretKeyRef"' in document) == ("coordinator" in pod)


def test_costs_no_write_once_converged(operator: Operator, space: Namespace) -> None:
    space.create_job()
    start_all(space)
    until("RolesReady", lambda: space.condition("RolesReady").get("status") == "True")
    until("no expectation left", lambda: passes(operator) > 0)
    quiet_from(operator)
    before, seen = operator.requests(), passes(operator)
    until("two resyncs", lambda: passes(operator) >= seen + 2)
    assert operator.requests() == before


def passes(operator: Operator) -> float:
    return operator.counted("prorl_operator_reconcile_total")


def quiet_from(operator: Operator) -> None:
    """Until a whole pass has made no request."""

    def quiet() -> bool:
        requests, seen = operator.requests(), passes(operator)
        until("another pass", lambda: passes(operator) > seen)
        return operator.requests() == requests

    until("a pass without requests", quiet)


def test_repairs_drift_and_lost_objects(operator: Operator, space: Namespace) -> None:
    space.create_job()
    until("all pods", lambda: space.names("pods") == FIRST)
    config = f"{space.core}/configmaps/q-config"
    good = space.api.request("GET", config)["data"]["job.json"]
    space.api.merge(config, {"data": {"job.json": "{}"}})
    until("config repaired", lambda: space.api.request("GET", config)["data"]["job.json"] == good)
    space.api.request("DELETE", f"{space.core}/services/q-verifier")
    until("service back", lambda: "q-verifier" in space.names("services"))


def test_deletion_leaves_nothing_but_the_checkpoints(operator: Operator, space: Namespace) -> None:
    space.create_job()
    start_all(space)
    space.api.request("DELETE", f"{JOBS.format(space.name)}/q")
    for pod in FIRST:
        # There is no kubelet that would confirm the end.
        until("marked", lambda pod=pod: gone_or_leaving(space, pod))
        if pod in space.names("pods"):
            space.remove_pod(pod)
    until("pods gone", lambda: not space.names("pods"))
    until("services gone", lambda: not space.names("services"))
    until("secret gone", lambda: not space.names("secrets"))
    until("config gone", lambda: "q-config" not in space.names("configmaps"))
    assert space.names("persistentvolumeclaims") == {"q-checkpoints"}
    until("series gone", lambda: f'namespace="{space.name}"' not in operator.get("/metrics")[1])


def test_scaling_rollout_makes_and_deletes_the_highest_index(
    operator: Operator, space: Namespace
) -> None:
    space.create_job()
    start_all(space)
    path = f"{JOBS.format(space.name)}/q"
    space.api.merge(f"{path}/scale", {"spec": {"replicas": 2}})
    until("second engine", lambda: "q-rollout-1-1" in space.names("pods"))
    space.api.merge(f"{path}/scale", {"spec": {"replicas": 1}})
    until("second engine leaves", lambda: gone_or_leaving(space, "q-rollout-1-1"))
    assert not gone_or_leaving(space, "q-rollout-0-1")


def test_the_second_operator_waits_for_the_lease_and_takes_over(
    kubeconfig: Path, space: Namespace
) -> None:
    with running_operator(kubeconfig) as first:
        until("first leads", lambda: first.get("/readyz")[0] == 200)
        with running_operator(kubeconfig) as second:
            until("second stands by", lambda: second.get("/readyz")[0] == 200)
            assert second.counted("prorl_operator_leader") == 0
            assert first.stop() == 0
            until("second leads", lambda: second.counted("prorl_operator_leader") == 1)
            space.create_job()
            until("all pods", lambda: space.names("pods") == FIRST)
            assert second.stop() == 0


def test_needs_little_memory(operator: Operator) -> None:
    text = Path(f"/proc/{operator.process.pid}/status").read_text()
    rss_kib = int(text.split("VmRSS:")[1].split()[0])
    print(f"RSS without a job: {rss_kib / 1024:.0f} MiB")
    assert rss_kib < 120 * 1024
