"""Names, labels and addresses."""

import re

from controller_builders import COORDINATOR, TRAINER, UID, make_job
from prorl_api.spec_roles import Role
from prorl_operator.build import names
from prorl_operator.build.names import Slot

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LONGEST = "x" * 40


def test_a_pods_name_tells_job_role_index_and_incarnation() -> None:
    assert names.pod_name("q", Slot(role=Role.ROLLOUT, index=12), 3) == "q-rollout-12-3"


def test_all_names_of_the_longest_job_are_dns_labels() -> None:
    job = make_job(name=LONGEST)
    slots = [Slot(role=role, index=511) for role in Role]
    made = [names.pod_name(LONGEST, slot, 999) for slot in slots]
    made += [names.config_name(LONGEST), names.tokens_name(LONGEST), names.claim_name(job)]
    made += [names.verifier_service_name(LONGEST), *(slot.host_name for slot in slots)]
    assert not [name for name in made if not DNS_LABEL.fullmatch(name)]


def test_no_two_objects_of_two_jobs_share_a_name_by_their_incarnations() -> None:
    index = Slot(role=Role.TRAINER, index=1)
    assert names.pod_name("q", index, 11) != names.pod_name("q", Slot(role=index.role, index=11), 1)


def test_the_coordinators_address_is_its_host_name_in_the_headless_service() -> None:
    job = make_job(name="deep")
    assert names.coordinator_host(job) == f"{COORDINATOR.host_name}.deep.team.svc"


def test_the_claim_is_the_jobs_own_or_made_for_it() -> None:
    assert names.claim_name(make_job()) == "q-checkpoints"
    brought = make_job(checkpoint={"storage": {"pvc": {"claimName": "mine"}}})
    assert names.claim_name(brought) == "mine"


def test_children_are_owned_without_holding_the_deletion_up() -> None:
    (owner,) = names.owned_metadata(make_job(), "x")["ownerReferences"]
    assert owner == {
        "apiVersion": "prorl.dev/v1alpha1", "kind": "ProRLJob", "name": "q", "uid": UID,
        "controller": True, "blockOwnerDeletion": False,
    }  # fmt: skip


def test_pods_are_selected_by_uid_as_well_so_that_an_earlier_job_has_none() -> None:
    job = make_job()
    assert names.pod_selector(job)["prorl.dev/job-uid"] == UID
    assert names.pod_selector(job).items() <= names.labels(job).items()


def test_slots_are_ordered_by_role_and_number() -> None:
    slots = [Slot(role=Role.TRAINER, index=i) for i in (10, 2)]
    assert sorted([*slots, TRAINER]) == [TRAINER, slots[1], slots[0]]
