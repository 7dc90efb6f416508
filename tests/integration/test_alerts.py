"""promtool on the chart's rules: each alert fires where it should and is silent elsewhere."""

import subprocess
from pathlib import Path
from typing import Any

import yaml
from monitoring.rules import RULES, Alert, load_alerts
from prometheus.tools import HERE, tool

CASES = yaml.safe_load((HERE / "alert_cases.yaml").read_text())
ALERTS = {alert.name: alert for alert in load_alerts()}
JOB = {"namespace": "team", "prorl_job": "q"}
IN_QUERY = ",".join(f'{name}="{value}"' for name, value in JOB.items())
Case = dict[str, Any]


def _test_of(case: Case, kind: str) -> dict[str, Any]:
    series = [
        {"series": name.replace("JOB", IN_QUERY), "values": str(values)}
        for name, values in case[kind].items()
    ]
    wanted = [_firing(case, ALERTS[case["alert"]])] if kind == "fires" else []
    return {
        "name": f"{case['alert']} {kind}",
        "interval": "1m",
        "input_series": series,
        "alert_rule_test": [
            {"eval_time": case["at"], "alertname": case["alert"], "exp_alerts": wanted}
        ],
    }


def _firing(case: Case, alert: Alert) -> dict[str, Any]:
    labels = JOB if case.get("job", True) else {}
    return {
        "exp_labels": {"severity": alert.severity, **labels, **case.get("labels", {})},
        "exp_annotations": alert.annotations | {"description": case["says"]},
    }


def _promtool(*arguments: str) -> None:
    done = subprocess.run(
        [tool("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid() -> None:
    files = [str(path) for path in sorted(RULES.glob("*.yaml"))]
    _promtool("check", "rules", "--lint=all", "--lint-fatal", *files)


def test_each_alert_fires_and_stays_silent_as_its_cases_say(tmp_path: Path) -> None:
    for kind in ("fires", "silent"):
        assert {case["alert"] for case in CASES if kind in case} == set(ALERTS)
    document = {
        "rule_files": [str(path) for path in sorted(RULES.glob("*.yaml"))],
        "evaluation_interval": "1m",
        "tests": [_test_of(c, kind) for c in CASES for kind in ("fires", "silent") if kind in c],
    }
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(document))
    _promtool("test", "rules", str(tmp_path / "cases.yaml"))
