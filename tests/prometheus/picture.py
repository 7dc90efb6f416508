"""Draws a dashboard from its JSON and a Prometheus, as near to Grafana as a page of docs needs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image
from prometheus.dashboards import Json, bind
from prometheus.server import Prometheus, Series

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter

COLUMN_INCHES, LINE_INCHES = 0.62, 0.3
GAP_COLUMNS, GAP_LINES = 1.1, 1.7
"""Of each panel's place: what is left free for ticks and the title."""
LEGEND_LIMIT = 8
COLORS = 64
FORMATS: Mapping[str, Callable[[float], str]] = {
    "percentunit": lambda value: f"{100 * value:.4g}%",
    "percent": lambda value: f"{value:.3g}%",
    "s": lambda value: f"{value:.3g} s",
    "bytes": lambda value: f"{value / 2**20:.3g} MiB",
}


@dataclass(frozen=True, kw_only=True)
class View:
    """What Grafana's page has in its head: source, variables, time."""

    prometheus: Prometheus
    variables: Mapping[str, str]
    start: float
    end: float
    step: float

    def lines(self, expr: str) -> list[Series]:
        """Range query over the whole view."""
        query = bind(expr, self.variables)
        return self.prometheus.over(query, start=self.start, end=self.end, step=self.step)


def draw(document: Json, view: View, path: Path) -> None:
    """All panels that have data, each at its place on the grid."""
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in document["panels"])
    figure = pyplot.figure(figsize=(24 * COLUMN_INCHES, height * LINE_INCHES), dpi=70)
    marks = _marks(document, view)
    for panel in document["panels"]:
        place = panel["gridPos"]
        top = 1 - place["y"] / height
        if panel["type"] == "row":
            figure.text(0.012, top - 0.8 / height, panel["title"], fontsize=12, weight="bold")
            continue
        left = GAP_COLUMNS * (2.2 if panel["type"] == "state-timeline" else 1)
        box = (
            (place["x"] + left) / 24,
            top - (place["h"] - GAP_LINES * 0.5) / height,
            (place["w"] - left - 0.4 * GAP_COLUMNS) / 24,
            (place["h"] - GAP_LINES) / height,
        )
        axis = figure.add_axes(box)
        axis.set_title(panel["title"], fontsize=9, loc="left", pad=3)
        PANELS[panel["type"]](axis, panel, view)
        if panel["type"] == "timeseries":
            _show_marks(axis, marks)
    figure.savefig(path)
    pyplot.close(figure)
    with Image.open(path) as image:
        image.convert("P", palette=Image.Palette.ADAPTIVE, colors=COLORS).save(path, optimize=True)


def _time_series(axis: Any, panel: Json, view: View) -> None:
    found = [(label, *xy) for label, xy in _curves(panel, view)]
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    if custom.get("stacking", {}).get("mode") == "normal":
        _stack(axis, found)
    else:
        for label, times, values in found:
            axis.plot(times, values, linewidth=1, label=label)
    axis.set_xlim(0, view.end - view.start)
    axis.grid(alpha=0.25)
    axis.tick_params(labelsize=7)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _text(panel, value)))
    if not found:
        axis.text(0.5, 0.5, "No data", transform=axis.transAxes, ha="center", color="gray")
    elif len(found) <= LEGEND_LIMIT:
        axis.legend(fontsize=6, loc="best", framealpha=0.6)


def _stack(axis: Any, found: list[tuple[str, list[float], list[float]]]) -> None:
    times = sorted({time for _, several, _ in found for time in several})
    rows = []
    for _, several, values in found:
        known = dict(zip(several, values, strict=True))
        rows.append([known.get(time, 0.0) for time in times])
    if rows:
        axis.stackplot(times, rows, labels=[label for label, _, _ in found], alpha=0.6)


def _number(axis: Any, panel: Json, view: View) -> None:
    axis.axis("off")
    curves = _curves(panel, view)
    named = panel["options"].get("textMode") == "name"
    text = "No data"
    if curves:
        label, (_, values) = max(curves, key=lambda curve: curve[1][0][-1])
        text = label if named else _text(panel, values[-1])
    axis.text(0.5, 0.35, text, transform=axis.transAxes, ha="center", fontsize=15)


def _states(axis: Any, panel: Json, view: View) -> None:
    found = sorted(_curves(panel, view))
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    for row, (_, (times, values)) in enumerate(found):
        colors = [mapping["options"][f"{value:.0f}"]["color"] for value in values]
        axis.scatter(times, [row] * len(times), c=colors, marker="|", s=40)
    axis.set_yticks(range(len(found)), [label for label, _ in found], fontsize=6)
    axis.set_xlim(0, view.end - view.start)
    axis.tick_params(axis="x", labelsize=7)


def _table(axis: Any, panel: Json, view: View) -> None:
    axis.axis("off")
    rows: dict[str, dict[str, str]] = {}
    for target in panel["targets"]:
        for one in view.lines(target["expr"]):
            name = "/".join(one["metric"][k] for k in ("namespace", "prorl_job"))
            value = f"{float(one['values'][-1][1]):.4g}"
            rows.setdefault(name, {})[target["legendFormat"]] = value
    columns = [target["legendFormat"] for target in panel["targets"]]
    if rows:
        cells = [[name, *(row.get(c, "") for c in columns)] for name, row in rows.items()]
        axis.table(cellText=cells, colLabels=["job", *columns], loc="upper center")


PANELS: Mapping[str, Callable[[Any, Json, View], None]] = {
    "timeseries": _time_series,
    "stat": _number,
    "state-timeline": _states,
    "table": _table,
}


def _curves(panel: Json, view: View) -> list[tuple[str, tuple[list[float], list[float]]]]:
    """Label -> seconds since the start, and values."""
    curves = []
    for target in panel["targets"]:
        for one in view.lines(target["expr"]):
            times = [float(time) - view.start for time, _ in one["values"]]
            values = [float(value) for _, value in one["values"]]
            curves.append((_label(target["legendFormat"], one["metric"]), (times, values)))
    return curves


def _label(template: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template)


def _text(panel: Json, value: float) -> str:
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    return FORMATS.get(unit, lambda number: f"{number:.4g}")(value)


def _marks(document: Json, view: View) -> list[tuple[float, str]]:
    """Times since the start and colours, where an annotation begins."""
    found = []
    for mark in document.get("annotations", {}).get("list", ()):
        if not mark["enable"]:
            continue
        for one in view.lines(mark["expr"]):
            times = [float(time) for time, _ in one["values"]]
            begins = [t for t, before in zip(times, [0.0, *times], strict=False)
                      if t - before > 1.5 * view.step]  # fmt: skip
            found += [(time - view.start, mark["iconColor"]) for time in begins]
    return found


def _show_marks(axis: Any, marks: list[tuple[float, str]]) -> None:
    for time, color in marks:
        axis.axvline(time, color=color, linewidth=0.8, linestyle="--", alpha=0.7)
