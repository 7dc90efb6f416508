"""Series of jobs: one per phase, and none of a job that is gone."""

from controller_builders import make_condition, make_status
from prorl_api.status import CheckpointStatus, Phase, Roles, RoleStatus
from prorl_operator.metrics import Metrics

KEY = ("team", "q")
LABELS = 'namespace="team",prorl_job="q"'


def series_of(metrics: Metrics) -> dict[str, float]:
    lines = metrics.render().decode().splitlines()
    ours = [line.rsplit(" ", 1) for line in lines if 'prorl_job="q"' in line]
    return {series.removeprefix("prorl_operator_job_"): float(value) for series, value in ours}


def test_a_job_has_one_phase_and_its_step() -> None:
    metrics = Metrics()
    metrics.show_job(KEY, make_status(phase=Phase.STARTING, progress=None))
    metrics.show_job(KEY, make_status(phase=Phase.RUNNING))
    series = series_of(metrics)
    assert [name for name in series if name.startswith("phase")] == [
        'phase{namespace="team",phase="Running",prorl_job="q"}'
    ]
    assert series[f"step{{{LABELS}}}"] == 7


def test_ages_are_told_as_times_and_only_once_they_are_known() -> None:
    metrics = Metrics()
    metrics.show_job(KEY, make_status(checkpoint=None))
    name = f"checkpoint_timestamp_seconds{{{LABELS}}}"
    assert name not in series_of(metrics)
    checkpoint = CheckpointStatus(
        last_step=4, last_time="2026-01-01T00:00:10Z", uri="pvc://c/x", size_bytes=1
    )
    metrics.show_job(KEY, make_status(checkpoint=checkpoint))
    assert series_of(metrics)[name] == 1767225610
    metrics.show_job(KEY, make_status(checkpoint=None))
    assert name not in series_of(metrics)


def test_restarts_and_disruptions_are_told_apart() -> None:
    metrics = Metrics()
    metrics.show_job(KEY, make_status(restarts=5, restarts_counted=2, disruptions=7))
    series = series_of(metrics)
    names = ("restarts", "restarts_counted", "disruptions")
    assert [series[f"{name}{{{LABELS}}}"] for name in names] == [5, 2, 7]


def test_pods_wanted_and_ready_are_told_by_role() -> None:
    metrics = Metrics()
    metrics.show_job(KEY, make_status(roles=Roles(rollout=RoleStatus(desired=3, ready=2))))
    series = series_of(metrics)
    role = f'{{{LABELS},role="rollout"}}'
    assert (series[f"pods_desired{role}"], series[f"pods_ready{role}"]) == (3, 2)


def test_conditions_are_told_as_far_as_the_status_has_them() -> None:
    metrics = Metrics()
    conditions = [make_condition("RolesReady"), make_condition("Degraded", status="False")]
    metrics.show_job(KEY, make_status(conditions=conditions))
    metrics.show_job(KEY, make_status(conditions=[make_condition("RolesReady", status="False")]))
    told = {name: value for name, value in series_of(metrics).items() if "condition" in name}
    assert told == {'condition{condition="RolesReady",namespace="team",prorl_job="q"}': 0}


def test_a_job_that_is_gone_has_no_series() -> None:
    metrics = Metrics()
    metrics.show_job(KEY, make_status(conditions=[make_condition("RolesReady")]))
    metrics.pods_disrupted.labels(*KEY, "trainer", "Deleted").inc()
    metrics.drop_job(KEY)
    metrics.drop_job(KEY)
    assert series_of(metrics) == {}


def test_every_operator_counts_for_itself() -> None:
    one, other = Metrics(), Metrics()
    one.retries.inc()
    assert b"prorl_operator_retries_total 1.0" in one.render()
    assert b"prorl_operator_retries_total 0.0" in other.render()
