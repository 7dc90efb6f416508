"""Each alert has what a person needs at night, and asks for metrics that there are."""

import re
from pathlib import Path

import pytest
from monitoring.exported import exported
from monitoring.rules import RUNBOOKS, Alert, load_alerts, mentions
from prorl_api.crd import build_schema
from prorl_cli.main import main as cli
from prorl_trainer.algo.signals import BOUNDS

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "runbooks"
ALERTS = load_alerts()
SPEC = build_schema()["properties"]["spec"]
BLOCKS = "|".join(name for name, node in SPEC["properties"].items() if "properties" in node)
NAMES = {name for metric in exported() for name in metric.names}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_is_complete(alert: Alert) -> None:
    assert re.fullmatch(r"ProRL[A-Z][A-Za-z]+", alert.name)
    assert alert.severity in {"critical", "warning", "info"}
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert "{{" not in alert.annotations["summary"], "a summary groups alerts"
    assert alert.annotations["runbook_url"] == f"{RUNBOOKS}{alert.name}.md"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_the_metrics_of_an_alert_are_exported(alert: Alert) -> None:
    used = set(mentions(alert.expr))
    assert used, alert.expr
    assert used <= NAMES


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_runbook_says_what_it_means_and_what_to_do(alert: Alert) -> None:
    text = (PAGES / f"{alert.name}.md").read_text()
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert heads == [alert.name, "Meaning", "Check", "Do", "Ignore when"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_commands_and_fields_of_a_runbook_exist(alert: Alert) -> None:
    text = (PAGES / f"{alert.name}.md").read_text()
    assert set(re.findall(r"`prorl ([a-z-]+)", text)) <= set(cli.commands)
    for path in re.findall(rf"`(?:spec\.)?((?:{BLOCKS})\.[A-Za-z.]+)`", text):
        node = SPEC
        for word in path.split("."):
            node = node["properties"][word]


def test_the_page_lists_them_all() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    rows = [
        f"| {one.name} | {one.severity} "
        f"| [{one.annotations['summary'].rstrip('.')}](runbooks/{one.name}.md) |"
        for one in ALERTS
    ]
    assert "\n".join(rows) in text


def test_there_is_no_runbook_of_an_alert_that_is_gone() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("signal", [bound.signal for bound in BOUNDS])
def test_a_signal_that_is_out_of_bounds_calls_exactly_one_alert(signal: str) -> None:
    called = [alert.name for alert in ALERTS if _level_selector(alert).fullmatch(signal)]
    assert len(called) == 1


def _level_selector(alert: Alert) -> re.Pattern[str]:
    found = re.search(r'prorl_health_level\{signal(=|=~|!~)"([^"]+)"\}', alert.expr)
    if found is None:
        return re.compile(r"(?!)")
    names = found[2]
    return re.compile(rf"(?!(?:{names})$).*" if found[1] == "!~" else names)
