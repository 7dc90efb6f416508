"""A Board as the classic JSON that Grafana 10 to 13 load, through Grafana's own types."""

import json
from collections.abc import Callable, Iterator
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import (
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.boards.model import GRID_WIDTH, HEIGHTS, Board, Chart, Kind, Mark, Variable

SOURCE = models.DataSourceRef(type_val="prometheus", uid="$datasource")
Panel = timeseries.Panel | stat.Panel | statetimeline.Panel | table.Panel


def board_json(board: Board) -> str:
    """The file's text."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["prorl"])
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    )
    for variable in board.variables:
        made.with_variable(_variable(variable))
    for mark in board.marks:
        made.annotation(_annotation(mark))
    document = made.build()
    document.panels = list(_placed(board))
    text = json.dumps(document, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False)
    return f"{text}\n"


def _placed(board: Board) -> Iterator[models.Panel | models.RowPanel]:
    """Rows and panels with their ids and places; a line is as high as its highest panel."""
    number, top = 0, 0
    for section in board.sections:
        number += 1
        row = dashboard.Row(section.title).id(number)
        yield row.grid_pos(models.GridPos(h=1, w=GRID_WIDTH, x=0, y=top)).build()
        left, top, height = 0, top + 1, 0
        for chart in section.charts:
            if left + chart.width > GRID_WIDTH:
                left, top, height = 0, top + height, 0
            place = models.GridPos(h=HEIGHTS[chart.kind], w=chart.width, x=left, y=top)
            number += 1
            yield _panel(chart).id(number).grid_pos(place).build()
            left, height = left + chart.width, max(height, place.h)
        top += height


def _panel(chart: Chart) -> Panel:
    kinds: dict[Kind, Callable[[Chart], Panel]] = {
        Kind.LINES: _lines,
        Kind.NUMBER: _number,
        Kind.STATES: _states,
        Kind.TABLE: _table,
    }
    panel = kinds[chart.kind](chart)
    panel.title(chart.title).datasource(SOURCE).unit(chart.unit)
    if chart.about:
        panel.description(chart.about)
    for letter, query in zip(ascii_uppercase, chart.queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
        if chart.kind is Kind.TABLE:
            target.instant().format(PromQueryFormat.TABLE)
        panel.with_target(target)
    return panel


def _lines(chart: Chart) -> timeseries.Panel:
    panel = timeseries.Panel().line_width(1).fill_opacity(8)
    panel.show_points(common.VisibilityMode.NEVER)
    panel.legend(
        common_builders.VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
    )
    if chart.stacked:
        panel.fill_opacity(40)
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    return panel


def _number(chart: Chart) -> stat.Panel:
    last = common_builders.ReduceDataOptions().calcs(["lastNotNull"])
    panel = stat.Panel().reduce_options(last).graph_mode(common.BigValueGraphMode.NONE)
    named = "{{" in chart.queries[0].legend
    return panel.text_mode(common.BigValueTextMode.NAME if named else common.BigValueTextMode.VALUE)


def _states(chart: Chart) -> statetimeline.Panel:
    panel = statetimeline.Panel().merge_values(True).show_value(common.VisibilityMode.AUTO)
    words = {
        str(value): models.ValueMappingResult(text=text, color=color, index=value)
        for value, (text, color) in enumerate(chart.words)
    }
    return panel.line_width(0).fill_opacity(70).mappings([models.ValueMap(options=words)])


def _table(chart: Chart) -> table.Panel:
    """One line per job: the queries are joined, and their values named after their legends."""
    names = {
        f"Value #{letter}": q.legend
        for letter, q in zip(ascii_uppercase, chart.queries, strict=False)
    }
    organize = {"excludeByName": {"Time": True}, "renameByName": {**names, "prorl_job": "job"}}
    return (
        table.Panel()
        .align(common.FieldTextAlignment.AUTO)
        .with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(models.DataTransformerConfig(id_val="organize", options=organize))
    )


def _variable(variable: Variable) -> dashboard.QueryVariable:
    made = (
        dashboard.QueryVariable(variable.name)
        .datasource(SOURCE)
        .query({"query": variable.query, "refId": variable.name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    return made.multi(True).include_all(True) if variable.all else made


def _annotation(mark: Mark) -> dashboard.AnnotationQuery:
    query = dashboard.AnnotationQuery().name(mark.name).expr(mark.expr).icon_color(mark.color)
    return query.datasource(SOURCE).enable(mark.shown)
