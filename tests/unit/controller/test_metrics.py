"""Series of jobs: one per phase, and none of a job that is gone."""

from controller_builders import make_status
from prorl_api.status import Phase
from prorl_operator.metrics import Metrics

KEY = ("team", "q")
LABELS = 'name="q",namespace="team"'


def series_of(metrics: Metrics) -> set[str]:
    lines = metrics.render().decode().splitlines()
    return {line for line in lines if LABELS in line}


def test_a_job_has_one_phase_and_its_step() -> None:
    metrics = Metrics()
    metrics.show_job(KEY, make_status(phase=Phase.STARTING, progress=None))
    metrics.show_job(KEY, make_status(phase=Phase.RUNNING))
    assert series_of(metrics) == {
        f'prorl_operator_job_phase{{{LABELS},phase="Running"}} 1.0',
        f"prorl_operator_job_step{{{LABELS}}} 7.0",
    }


def test_a_job_that_is_gone_has_no_series() -> None:
    metrics = Metrics()
    metrics.show_job(KEY, make_status())
    metrics.drop_job(KEY)
    metrics.drop_job(KEY)
    assert series_of(metrics) == set()


def test_every_operator_counts_for_itself() -> None:
    one, other = Metrics(), Metrics()
    one.retries.inc()
    assert b"prorl_operator_retries_total 1.0" in one.render()
    assert b"prorl_operator_retries_total 0.0" in other.render()
