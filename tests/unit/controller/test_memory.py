"""Our own last writes count until the watch shows them, and not for long."""

from datetime import timedelta
from typing import Any

import pytest
from controller_builders import NOW, ROLLOUT, TRAINER, UID, ago, make_pod_view
from prorl_operator.kube.observe import (
    LAG_LIMIT,
    expire_answers,
    newer,
    observe_children,
    observe_pods,
)
from prorl_operator.memory import JobMemory, Memories


def memory(**values: Any) -> JobMemory:
    return JobMemory(uid=UID, **values)


def test_pods_of_an_earlier_job_of_this_name_are_not_the_jobs() -> None:
    pods = [make_pod_view(), make_pod_view(ROLLOUT, owner_uid="earlier")]
    assert [pod.slot for pod in observe_pods(pods, memory())] == [TRAINER]


def test_a_pod_that_the_watch_does_not_show_yet_is_there() -> None:
    mine, old = make_pod_view(TRAINER, 2, phase="Pending"), make_pod_view(ROLLOUT)
    known = memory(created={mine.name: (mine, NOW)})
    assert observe_pods([old], known) == (old, mine)
    shown = make_pod_view(TRAINER, 2)
    assert observe_pods([shown], known) == (shown,)
    assert known.created == {}


def test_a_pod_that_we_have_deleted_is_leaving_until_it_is_gone() -> None:
    pod = make_pod_view()
    known = memory(deleted={pod.uid: NOW, "gone": NOW})
    (seen,) = observe_pods([pod], known)
    assert seen.deletion_at == NOW
    assert known.deleted == {pod.uid: NOW}
    (told,) = observe_pods([make_pod_view(deletion_at=ago(5))], known)
    assert told.deletion_at == ago(5)


def test_incarnations_are_remembered_after_their_pods_are_gone() -> None:
    known = memory()
    observe_pods([make_pod_view(TRAINER, 4)], known)
    observe_pods([make_pod_view(TRAINER, 2)], known)
    assert known.incarnations == {TRAINER: 4}


def config(version: int, **values: Any) -> dict[str, Any]:
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "c", "resourceVersion": str(version)},
    } | values


CHILD = ("ConfigMap", "c")


@pytest.mark.parametrize(
    ("watched", "ours", "remembered"),
    [(None, True, True), (9, True, True), (10, False, False), (100, False, False)],
)
def test_our_own_write_counts_until_the_watch_has_caught_up(
    watched: int | None, ours: bool, remembered: bool
) -> None:
    answer = config(10)
    shown = None if watched is None else config(watched)
    known = memory(answers={CHILD: (answer, NOW)})
    assert newer(shown, *CHILD, known) is (answer if ours else shown)
    assert (CHILD in known.answers) is remembered


def test_what_nobody_wrote_is_as_the_watch_shows_it() -> None:
    assert newer(None, *CHILD, memory()) is None
    shown = config(3)
    assert newer(shown, *CHILD, memory()) is shown


def test_children_are_those_of_the_watch_and_those_just_written() -> None:
    service = {"kind": "Service", "metadata": {"name": "s", "resourceVersion": "1"}}
    job = {"kind": "ProRLJob", "metadata": {"name": "q", "resourceVersion": "9"}}
    known = memory(answers={CHILD: (config(5), NOW), ("ProRLJob", "q"): (job, NOW)})
    found = observe_children([service], known)
    assert found == {("Service", "s"): service, CHILD: config(5)}


@pytest.mark.parametrize(("late", "kept"), [(timedelta(0), True), (timedelta(seconds=1), False)])
def test_what_the_watch_never_shows_is_not_believed_for_long(late: timedelta, kept: bool) -> None:
    pod = make_pod_view()
    at = NOW - LAG_LIMIT - late
    known = memory(answers={CHILD: (config(1), at)}, created={pod.name: (pod, at)})
    expire_answers(known, NOW)
    assert (CHILD in known.answers) is kept
    assert (pod.name in known.created) is kept


def test_another_job_of_the_same_name_starts_without_memory() -> None:
    memories, key = Memories(), ("team", "q")
    memories.of(key, "first").saw(TRAINER, 4)
    assert memories.of(key, "first").incarnations == {TRAINER: 4}
    memories.of(key, "second").saw(TRAINER, 2)
    assert memories.of(key, "second").incarnations == {TRAINER: 2}
    memories.forget(key)
    assert memories.of(key, "second").incarnations == {}
