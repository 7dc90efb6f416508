"""Panels of the chart's dashboards as a reader of their JSON sees them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES = Path(__file__).parents[2] / "charts" / "prorl-operator" / "dashboards"
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A query with its variables filled in, and where it is."""

    board: str
    panel: str
    expr: str


def load(uid: str) -> Json:
    """One dashboard."""
    return dict(json.loads((FILES / f"{uid}.json").read_text()))


def bind(expr: str, values: Mapping[str, str]) -> str:
    """With Grafana's variables replaced, the longer name first."""
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(f"${name}", values[name])
    return expr


def all_asked(values: Mapping[str, str]) -> Iterator[Asked]:
    """Every query of every panel and annotation."""
    for path in sorted(FILES.glob("*.json")):
        document = load(path.stem)
        for panel in document["panels"]:
            for target in panel.get("targets", ()):
                expr = bind(target["expr"], values)
                yield Asked(board=path.stem, panel=panel["title"], expr=expr)
        for mark in document.get("annotations", {}).get("list", ()):
            yield Asked(board=path.stem, panel=mark["name"], expr=bind(mark["expr"], values))
