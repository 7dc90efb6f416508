"""The chart as its next release might be, made of this one."""

import re
import shutil
from pathlib import Path

from cluster.product import CHART

NEXT_VERSION = "0.9.0"
NEXT_SCHEMA = "0123456789ab"
"""The mark of its definition of ProRLJobs, which has no other difference."""


def next_release(folder: Path) -> Path:
    """A copy of the chart below the folder; its images are those of this release."""
    chart = folder / CHART.name
    shutil.copytree(CHART, chart)
    _edit(chart / "Chart.yaml", r"(?m)^(version|appVersion): .*$", rf'\1: "{NEXT_VERSION}"')
    definition = chart / "templates" / "crd.yaml"
    marks = re.findall(r"prorl\.dev/schema: (\w+)", definition.read_text())
    _edit(definition, re.escape(marks[0]), NEXT_SCHEMA)
    return chart


def _edit(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text())
    if not count:
        raise ValueError(f"{path}: nothing is like {pattern}")
    path.write_text(text)
