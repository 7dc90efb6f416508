"""What follows from a snapshot without any decision."""

from datetime import timedelta
from typing import Any

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    ROLLOUT,
    TRAINER,
    ago,
    make_document,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
)
from prorl_api.spec_roles import Role
from prorl_api.status import Roles, RoleStatus
from prorl_operator.build.ledger import Ledger
from prorl_operator.plan.observed import LOST_AFTER, Observed


@pytest.mark.parametrize(
    ("phase", "ended"),
    [("Pending", False), ("Running", False), ("Unknown", False),
     ("Succeeded", True), ("Failed", True)],
)  # fmt: skip
def test_a_pod_has_ended_by_its_phase(phase: str, ended: bool) -> None:
    assert make_pod_view(phase=phase).ended is ended


def test_a_pod_that_is_told_to_go_runs_no_longer() -> None:
    assert make_pod_view().running
    assert not make_pod_view(deletion_at=ago(-60)).running
    assert not make_pod_view(phase="Pending").running


@pytest.mark.parametrize(
    ("values", "lost"),
    [
        ({}, False),
        ({"node_lost": True}, False),
        ({"deletion_at": NOW}, False),
        ({"deletion_at": NOW - LOST_AFTER}, False),
        ({"deletion_at": NOW - LOST_AFTER - timedelta(seconds=1)}, True),
        ({"deletion_at": NOW, "node_lost": True}, True),
    ],
    ids=["runs", "nobody wants it gone", "grace over", "on the limit", "overdue", "node lost"],
)
def test_only_a_leaving_pod_can_be_lost(values: dict[str, Any], lost: bool) -> None:
    assert make_pod_view(**values).lost(NOW) is lost


def test_the_newest_pod_of_a_slot_has_the_highest_incarnation() -> None:
    pods = [make_pod_view(TRAINER, number) for number in (9, 10, 2)]
    observed = make_observed(*pods)
    assert observed.newest(TRAINER) is pods[1]
    assert make_observed(pods=()).newest(TRAINER) is None


@pytest.mark.parametrize(
    ("values", "attempt"),
    [
        ({"pods": ()}, 0),
        ({"pods": (make_pod_view(COORDINATOR, 2), make_pod_view(COORDINATOR, 3))}, 3),
        ({"pods": (), "stored": make_status(attempt=4)}, 4),
        ({"pods": (), "incarnations": {COORDINATOR: 5}}, 5),
        ({"pods": (make_pod_view(TRAINER, 8),), "incarnations": {TRAINER: 9}}, 0),
        ({"pods": (make_pod_view(COORDINATOR, 6),), "stored": make_status(attempt=4),
          "incarnations": {COORDINATOR: 5}}, 6),
    ],
    ids=["none yet", "pods", "status", "memory", "other roles", "highest"],
)  # fmt: skip
def test_no_attempt_that_ever_existed_is_forgotten(values: dict[str, Any], attempt: int) -> None:
    assert Observed(job=make_job(), **values).attempt == attempt


def test_the_tally_is_the_newest_of_status_and_pods() -> None:
    roles = Roles(rollout=RoleStatus(failed=3), trainer=RoleStatus(failed=1))
    stored = make_status(restarts=4, restarts_counted=1, roles=roles)
    pods = [
        make_pod_view(TRAINER, 2, ledger=Ledger(restarts=5, counted=2, failed={Role.TRAINER: 2})),
        make_pod_view(ROLLOUT, 2, ledger=Ledger(restarts=3)),
    ]
    failed = {Role.TRAINER: 2, Role.ROLLOUT: 3}
    assert make_observed(*pods, stored=stored).ledger == Ledger(
        restarts=5, counted=2, failed=failed
    )


def test_a_tally_survives_the_loss_of_every_pod_and_of_the_status() -> None:
    stored = make_status(restarts=4, restarts_counted=1)
    tally = Ledger(restarts=4, counted=1)
    assert make_observed(pods=(), stored=stored).ledger == tally
    assert make_observed(make_pod_view(TRAINER, ledger=tally), stored=None).ledger == tally


@pytest.mark.parametrize(
    ("incarnation", "document", "live"),
    [
        (1, make_document(), True),
        (2, make_document(attempt=2), True),
        (2, make_document(), False),
        (1, make_document(attempt=2), False),
        (1, make_document(job_uid="other"), False),
        (1, None, False),
    ],
    ids=["first", "second", "of the predecessor", "of a successor", "other job", "silent"],
)
def test_only_the_newest_coordinator_of_this_job_is_listened_to(
    incarnation: int, document: Any, live: bool
) -> None:
    observed = make_observed(make_pod_view(COORDINATOR, incarnation), document=document)
    assert observed.live_document is (document if live else None)


def test_nobody_speaks_for_a_coordinator_that_is_gone() -> None:
    assert make_observed(pods=()).live_document is None
