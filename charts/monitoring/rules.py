"""The chart's alerts, and the metrics that a query names."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

RULES = Path(__file__).parents[1] / "prorl-operator" / "rules"
RUNBOOKS = "RUNBOOKS/"
"""What the chart replaces by the value prometheusRule.runbookUrl."""
_LABELS = re.compile(r"\{[^}]*\}|\b(?:by|on|without|ignoring) \([^)]*\)")
_METRIC = re.compile(r"\b(?:prorl|process|DCGM)_\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One rule."""

    name: str
    expr: str
    severity: str
    annotations: dict[str, str]


def load_alerts() -> list[Alert]:
    """All of them, by file and in the order of the files."""
    rules = [
        rule
        for path in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    return [
        Alert(
            name=rule["alert"],
            expr=rule["expr"],
            severity=rule["labels"]["severity"],
            annotations=rule["annotations"],
        )
        for rule in rules
    ]


def mentions(query: str) -> list[str]:
    """Names of metrics, as often as the query has them; the label `prorl_job` is none."""
    return [name for name in _METRIC.findall(_LABELS.sub("", query)) if name != "prorl_job"]
