"""What a dashboard is made of, before it is JSON of Grafana's."""

from dataclasses import dataclass, field
from enum import StrEnum

JOB = 'namespace="$namespace", prorl_job="$job"'
"""In the selector of each query that is about one job."""
GRID_WIDTH = 24


class Kind(StrEnum):
    """Grafana's name of the panel's type."""

    LINES = "timeseries"
    NUMBER = "stat"
    STATES = "state-timeline"
    TABLE = "table"


HEIGHTS = {Kind.LINES: 8, Kind.NUMBER: 4, Kind.STATES: 10, Kind.TABLE: 9}


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One query and how its series are called; of a table, `legend` is the column."""

    expr: str
    legend: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One panel. `unit` is Grafana's word for it."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = Kind.LINES
    width: int = 8
    about: str = ""
    stacked: bool = False
    words: tuple[tuple[str, str], ...] = ()
    """Of states: the text and the colour of the values 0, 1, ..."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A row with its panels, which flow from left to right."""

    title: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """An annotation at each time for which the query has a value."""

    name: str
    expr: str
    color: str
    shown: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A choice at the top, from the values of a label."""

    name: str
    query: str
    all: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """A dashboard; its file is named after `uid`."""

    uid: str
    title: str
    about: str
    sections: tuple[Section, ...]
    variables: tuple[Variable, ...] = ()
    marks: tuple[Mark, ...] = field(default=())


ONE_JOB = (
    Variable(name="namespace", query="label_values(prorl_operator_job_step, namespace)"),
    Variable(
        name="job", query='label_values(prorl_operator_job_step{namespace="$namespace"}, prorl_job)'
    ),
)
MARKS = (
    Mark(
        name="Reference resets",
        expr=f"changes(prorl_reference_version{{{JOB}}}[$__rate_interval]) > 0",
        color="purple",
    ),
    Mark(
        name="Restarts and disruptions",
        expr=f"changes(prorl_operator_job_restarts{{{JOB}}}[$__rate_interval]) > 0",
        color="red",
    ),
)


def of_job(metric: str, legend: str = "") -> Query:
    """A metric of the chosen job as it is, named after itself unless told otherwise."""
    return Query(expr=f"{metric}{{{JOB}}}", legend=legend or metric.removeprefix("prorl_"))


def lines(title: str, *metrics: str, unit: str = "short", about: str = "") -> Chart:
    """Lines of metrics of the chosen job; `metric|legend` names one."""
    queries = tuple(of_job(*metric.split("|")) for metric in metrics)
    return Chart(title=title, queries=queries, unit=unit, about=about)


def number(
    title: str, expr: str, *, unit: str = "short", legend: str = "", width: int = 4
) -> Chart:
    """One number, the newest."""
    query = Query(expr=expr, legend=legend or title)
    return Chart(title=title, queries=(query,), unit=unit, kind=Kind.NUMBER, width=width)


def rate(metric: str, legend: str, by: str = "") -> Query:
    """A counter of the chosen job per second, summed over pods; `by` lists labels that are kept."""
    return _summed(f"rate({metric}{{{JOB}}}[$__rate_interval])", legend, by)


def count(metric: str, legend: str, by: str = "") -> Query:
    """Likewise, by how much it has grown between two points."""
    return _summed(f"increase({metric}{{{JOB}}}[$__rate_interval])", legend, by)


def _summed(expr: str, legend: str, by: str) -> Query:
    return Query(expr=f"sum by ({by}) ({expr})" if by else f"sum({expr})", legend=legend)
