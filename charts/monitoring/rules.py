"""The chart's alerts, and the metrics that a query names."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

RULES = Path(__file__).parents[1] / "prorl-operator" / "rules"
RUNBOOKS = "RUNBOOKS/"
"""What the chart replaces by the value prometheusRule.runbookUrl."""
_STRING = re.compile(r'"[^"]*"')
_METRIC = re.compile(r"\b((?:prorl|process|vllm|ray|DCGM)[A-Za-z0-9_:]*)(?![\w:(])")


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


def metrics_in(query: str) -> set[str]:
    """Names of metrics in a query; the label `prorl_job` is none."""
    return set(_METRIC.findall(_STRING.sub('""', query))) - {"prorl_job"}
