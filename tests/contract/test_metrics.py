"""Names of metrics by the rules of Prometheus, and what reads the registries."""

import re

import pytest
from monitoring.exported import Exported, exported
from prorl_trainer.algo.signals import BOUNDS
from prorl_trainer.observe.metrics import LABELLED

METRICS = exported()
BOUNDED_LABELS = {
    "namespace", "prorl_job",  # one job each
    "phase", "role", "condition", "reason", "result", "outcome", "verb", "code",
    "status",  # enums and HTTP
    "domain", "signal", "k", "verifier",  # closed sets, and lists with a limit in the schema
    "engine",  # the lowest free number, below spec.rollout.replicas
    "resource", "state",  # of Ray: places and GPUs, used or free; nodes alive or dead
    "prorl_verifier_isolation", "version", "dataset_hash",
}  # fmt: skip
OTHER_UNITS = re.compile(
    r"_(ms|millis|milliseconds|us|ns|minutes|hours|kb|kib|mb|mib|gb|gib|percent|perc|pct)(_|$)"
)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.family)
def test_a_metric_follows_the_naming_rules(metric: Exported) -> None:
    prefix = r"(prorl|process)_"
    assert re.fullmatch(prefix + r"[a-z0-9]+(_[a-z0-9]+)*", metric.family)
    assert not OTHER_UNITS.search(metric.family), "not a base unit"
    assert all(name.endswith("_total") == (metric.kind == "counter") for name in metric.names)
    if metric.kind == "histogram":
        assert metric.family.endswith(("_seconds", "_bytes")), "a histogram needs a unit"
    assert set(metric.labels) <= BOUNDED_LABELS, "are its values bounded?"
    assert metric.text.endswith("."), "a sentence says what it is"


def test_each_name_is_exported_by_one_component_only() -> None:
    names = [name for metric in METRICS for name in metric.names]
    assert sorted(set(names)) == sorted(names)


def test_the_registries_are_read_whole() -> None:
    names = {name for metric in METRICS for name in metric.names}
    assert {"prorl_kl", "prorl_health_value", "prorl_operator_api_requests_total"} <= names
    assert {"prorl_verifier_info", "prorl_verifier_verify_seconds_bucket"} <= names
    labelled = {f"prorl_{name}": (label,) for name, label, _ in LABELLED.values()}
    assert labelled.items() <= {metric.family: metric.labels for metric in METRICS}.items()


def test_no_name_of_a_signal_is_taken_for_a_phase() -> None:
    assert not [bound.signal for bound in BOUNDS if bound.signal.endswith("_seconds")]
