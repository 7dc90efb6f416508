"""What helm makes of the chart's monitoring: off unless asked for, and clear where it cannot be."""

import subprocess

import helm
import pytest
import yaml
from helm import MONITORING, Manifest
from monitoring.rules import RULES

CHART = RULES.parent
ALL = ("serviceMonitor.enabled=true", "podMonitor.enabled=true", "prometheusRule.enabled=true")


def _template(*settings: str, api: str | None = MONITORING) -> "subprocess.CompletedProcess[str]":
    flags = [f"--set={one}" for one in settings] + ([f"--api-versions={api}"] if api else [])
    return helm.template(*flags, namespace="default")


def _rendered(*settings: str) -> list[Manifest]:
    flags = [f"--api-versions={MONITORING}", *(f"--set={one}" for one in settings)]
    return helm.rendered(*flags, namespace="default")


def _monitoring(*settings: str) -> list[Manifest]:
    return [one for one in _rendered(*settings) if one["apiVersion"] == MONITORING]


def test_nothing_of_the_prometheus_operator_is_made_by_default() -> None:
    assert _monitoring() == []


@pytest.mark.parametrize("setting", ALL)
def test_without_its_definitions_the_install_stops_and_says_what_is_missing(setting: str) -> None:
    done = _template(setting, api=None)
    assert done.returncode != 0
    assert f"{setting.removesuffix('=true')} is true" in done.stderr
    assert "install the CRDs of the Prometheus operator" in done.stderr


@pytest.mark.parametrize(
    "setting",
    [
        "serviceMonitor.every=1s",
        "podMonitor.interval=often",
        "prometheusRule.runbookUrl=here",
        "dashboards.enabled=1",
    ],
)
def test_a_value_that_is_unknown_or_malformed_is_refused(setting: str) -> None:
    done = _template(setting)
    assert done.returncode != 0
    assert setting.split(".")[0] in done.stderr


def test_the_rules_are_the_files_with_links_to_the_runbooks() -> None:
    where = "https://wiki.example/runbooks"
    made = _monitoring("prometheusRule.enabled=true", f"prometheusRule.runbookUrl={where}")
    groups = [group for one in made for group in one["spec"]["groups"]]
    files = [path.read_text().replace("RUNBOOKS", where) for path in sorted(RULES.glob("*.yaml"))]
    assert groups == [group for text in files for group in yaml.safe_load(text)["groups"]]


def test_objects_carry_the_labels_by_which_a_prometheus_picks_them() -> None:
    labels = [f"{one.split('.')[0]}.additionalLabels.release=kps" for one in ALL]
    made = _monitoring(*ALL, *labels)
    assert {one["kind"] for one in made} == {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    assert all(one["metadata"]["labels"]["release"] == "kps" for one in made)


def test_a_dashboard_is_a_config_map_that_the_sidecar_finds_unchanged() -> None:
    setting = ("dashboards.enabled=true", "dashboards.annotations.grafana_folder=ProRL")
    found = [one for one in _rendered(*setting) if one["kind"] == "ConfigMap"]
    files = {path.name: path.read_text() for path in (CHART / "dashboards").glob("*.json")}
    assert {name: text for one in found for name, text in one["data"].items()} == files
    for one in found:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"] == {"grafana_folder": "ProRL"}
    assert not [one for one in _rendered() if one["kind"] == "ConfigMap"]


def test_pods_of_jobs_are_scraped_where_the_operator_watches() -> None:
    everywhere, listed = (
        next(one["spec"]["namespaceSelector"] for one in _monitoring(ALL[1], *more))
        for more in ((), ("watchNamespaces={a,b}",))
    )
    assert (everywhere, listed) == ({"any": True}, {"matchNames": ["a", "b"]})


def test_series_of_jobs_keep_the_labels_that_the_operator_gives_them() -> None:
    (monitor,) = _monitoring(ALL[0])
    assert monitor["spec"]["endpoints"][0]["honorLabels"] is True
    service = next(one for one in _rendered() if one["kind"] == "Service")
    assert (
        monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    assert monitor["spec"]["endpoints"][0]["port"] in {p["name"] for p in service["spec"]["ports"]}
