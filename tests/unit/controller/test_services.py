"""The two Services of a job."""

from controller_builders import IMAGE, ROLLOUT, VERIFIER, make_job
from prorl_operator.build.ledger import Ledger
from prorl_operator.build.names import Slot
from prorl_operator.build.pods import build_pod
from prorl_operator.build.services import build_headless_service, build_verifier_service


def labels_of(slot: Slot) -> dict[str, str]:
    pod = build_pod(make_job(), slot, 1, default_image=IMAGE, ledger=Ledger())
    return dict(pod["metadata"]["labels"])


def test_every_pod_has_a_dns_name_before_it_is_ready() -> None:
    service = build_headless_service(make_job())
    assert service["metadata"]["name"] == "q"
    spec = service["spec"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert spec["selector"].items() <= labels_of(ROLLOUT).items()


def test_the_verifiers_name_has_the_address_of_each_that_is_ready() -> None:
    service = build_verifier_service(make_job())
    assert service["metadata"]["name"] == "q-verifier"
    spec = service["spec"]
    assert spec["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in spec
    assert spec["selector"].items() <= labels_of(VERIFIER).items()
    assert not spec["selector"].items() <= labels_of(ROLLOUT).items()
    assert [port["port"] for port in spec["ports"]] == [8000]
