"""What the coordinator exports: nothing before it is known, the rest under its label."""

from prometheus_client import generate_latest
from prorl_trainer.observe.metrics import Metrics


def series_of(metrics: Metrics) -> dict[str, float]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {series: float(value) for series, value in pairs}


def test_a_gauge_is_exported_from_its_first_value_on() -> None:
    metrics = Metrics()
    assert "prorl_entropy" not in series_of(metrics)
    for value in (0.0, 1.25):
        metrics.record({"entropy": value})
        assert series_of(metrics)["prorl_entropy"] == value


def test_counters_begin_at_zero_so_that_their_first_event_is_an_increase() -> None:
    assert series_of(Metrics())["prorl_engines_lost_total"] == 0


def test_what_a_step_has_by_domain_phase_and_signal_becomes_labels() -> None:
    metrics = Metrics()
    metrics.record(
        {"reward_mean_math": 0.5, "learn_seconds": 2, "kl_ratio": 4, "health_kl_ratio": 1}
    )
    series = series_of(metrics)
    assert series['prorl_domain_reward_mean{domain="math"}'] == 0.5
    assert series['prorl_phase_seconds{phase="learn"}'] == 2
    assert series['prorl_health_value{signal="kl_ratio"}'] == 4
    assert series['prorl_health_level{signal="kl_ratio"}'] == 1


def test_a_signal_that_a_step_cannot_tell_does_not_stay_at_its_last_level() -> None:
    metrics = Metrics()
    metrics.record({"pass_at_k_drop": 0.1, "health_pass_at_k_drop": 1})
    metrics.step({"step": 1, "kl_ratio": 4, "health_kl_ratio": 1})
    metrics.step({"step": 2})
    told = {series for series in series_of(metrics) if "signal=" in series}
    signal = '{signal="pass_at_k_drop"}'
    assert told == {f"prorl_health_level{signal}", f"prorl_health_value{signal}"}
