"""Which queries of dashboards and alerts have an answer during a run, and what a scrape costs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.scrape.watched import JOB, SPACE
from monitoring.rules import load_alerts, mentions
from prometheus.dashboards import Asked, all_asked
from prometheus.server import Prometheus

VARIABLES = {"namespace": SPACE, "job": JOB, "__rate_interval": "10s"}
POINTS = 300
SCRAPE_LIMIT_S = 0.05
SERIES_LIMIT = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Unix times of the run."""

    start: float
    end: float

    @property
    def step(self) -> float:
        """Seconds between two points of a range query."""
        return max(1.0, (self.end - self.start) / POINTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A query and its series at any time of the run."""

    asked: Asked
    series: int
    excuse: str = ""
    """Why there may be none."""

    @property
    def verdict(self) -> str:
        """Good, unless it is EMPTY."""
        if self.series:
            return "data"
        return f"no data: {self.excuse}" if self.excuse else "EMPTY"


def ask_all(prometheus: Prometheus, span: Span, excuses: Mapping[str, str]) -> Iterator[Answer]:
    """Panels and annotations, then alerts. An alert must be silent on a healthy run, so for it each
    metric must have data, and its query must be one that Prometheus takes. `excuses`: metric -> why
    this run may have no series of it."""
    for asked in all_asked(VARIABLES):
        yield _answer(prometheus, span, asked, excuses)
    for alert in load_alerts():
        _series(prometheus, span, alert.expr)
        for name in sorted(set(mentions(alert.expr))):
            asked = Asked(board="alerts", panel=alert.name, expr=name)
            yield _answer(prometheus, span, asked, excuses)


def scrape_costs(prometheus: Prometheus, span: Span) -> dict[str, tuple[float, float, int]]:
    """By pod: median and 95th percentile of a scrape in seconds, and the most samples."""
    during = f"[{int(span.end - span.start)}s]"
    costs = {}
    for pod in ("prorl-operator", f"{JOB}-coordinator-0-1", f"{JOB}-verifier-0-1"):
        selector = f'{{pod="{pod}"}}{during}'
        values = [
            _number(prometheus, f"quantile_over_time(0.5, scrape_duration_seconds{selector})"),
            _number(prometheus, f"quantile_over_time(0.95, scrape_duration_seconds{selector})"),
            _number(prometheus, f"max_over_time(scrape_samples_scraped{selector})"),
        ]
        costs[pod] = (values[0], values[1], int(values[2]))
    return costs


def series_of_the_job(prometheus: Prometheus, span: Span) -> int:
    """The most at any time, from all three processes."""
    query = f'count({{__name__=~"prorl_.+", prorl_job="{JOB}"}})'
    found = prometheus.over(query, start=span.start, end=span.end, step=span.step)
    return max(int(float(value)) for one in found for _, value in one["values"])


def _answer(prometheus: Prometheus, span: Span, asked: Asked, excuses: Mapping[str, str]) -> Answer:
    excuse = min((excuses[name] for name in mentions(asked.expr) if name in excuses), default="")
    return Answer(asked=asked, series=_series(prometheus, span, asked.expr), excuse=excuse)


def _series(prometheus: Prometheus, span: Span, expr: str) -> int:
    return len(prometheus.over(expr, start=span.start, end=span.end, step=span.step))


def _number(prometheus: Prometheus, expr: str) -> float:
    return float(prometheus.now(expr)[0]["value"][1])
