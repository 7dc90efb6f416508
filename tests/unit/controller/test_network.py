"""NetworkPolicies of a job, by what they let through to pods as they are built."""

from typing import Any

import pytest
from controller_builders import COORDINATOR, IMAGE, ROLLOUT, TRAINER, VERIFIER, make_job
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Slot
from prorl_operator.build.network import build_network_policies
from prorl_operator.build.pods import build_pod

REMOTES = [{"name": "judge", "url": "http://judge.example/score"}]


def labels_of(slot: Slot) -> dict[str, str]:
    pod = build_pod(make_job(), slot, 1, default_image=IMAGE, ledger=Ledger())
    return dict(pod["metadata"]["labels"])


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    listed = selector.get("matchExpressions", [])
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in listed
    )


def lets_in(slot: Slot, peer: dict[str, str] | None, port: int, **spec: Any) -> bool:
    """`peer`: labels of a pod of the namespace; None: a pod of another one."""
    rules = [
        rule
        for policy in build_network_policies(make_job(**spec))
        if selects(policy["spec"]["podSelector"], labels_of(slot))
        for rule in policy["spec"]["ingress"]
    ]
    return any(
        (one.get("namespaceSelector") == {}
         or (peer is not None and selects(one["podSelector"], peer)))
        and (not rule.get("ports") or port in [p["port"] for p in rule["ports"]])
        for rule in rules
        for one in rule["from"]
    )  # fmt: skip


@pytest.mark.parametrize("slot", [COORDINATOR, TRAINER, ROLLOUT])
def test_rays_ports_are_for_the_jobs_own_pods(slot: Slot) -> None:
    other = labels_of(TRAINER) | {"prorl.dev/job-uid": "another"}
    assert lets_in(slot, labels_of(ROLLOUT), 6379)
    assert not lets_in(slot, other, 6379)
    assert not lets_in(slot, None, 6379)


@pytest.mark.parametrize(("slot", "port"), [(COORDINATOR, 8080), (VERIFIER, 8000)])
def test_the_operator_and_prometheus_reach_the_http_ports(slot: Slot, port: int) -> None:
    assert lets_in(slot, None, port)
    assert not lets_in(slot, None, port + 1)


def egress_of_verifiers(**spec: Any) -> Any:
    policies = build_network_policies(make_job(**spec))
    (found,) = (p["spec"] for p in policies if "Egress" in p["spec"]["policyTypes"])
    assert selects(found["podSelector"], labels_of(VERIFIER))
    assert not selects(found["podSelector"], labels_of(TRAINER))
    return found.get("egress", [])


def test_a_verifier_reaches_nothing_unless_remote_ones_are_to_be_asked() -> None:
    assert egress_of_verifiers() == []
    assert egress_of_verifiers(verifier={"remotes": REMOTES}) == [{}]


def test_a_cluster_with_policies_of_its_own_gets_none() -> None:
    assert build_network_policies(make_job(network={"policy": "None"})) == []
