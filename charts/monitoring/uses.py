"""Which dashboards and alerts ask for a metric, and which metrics none of them shows."""

from collections import defaultdict
from collections.abc import Sequence

from monitoring.boards.model import Board
from monitoring.rules import Alert, mentions

NOT_SHOWN = {
    "process_virtual_memory_bytes": "what is resident counts",
    "process_max_fds": "a constant of the node",
}
"""Metric -> why nobody shows it."""
NOT_OURS = {
    "DCGM_FI_DEV_GPU_UTIL": "NVIDIA's exporter, on nodes with GPUs",
}
"""Metric of a query -> who exports it, where it is scraped at all."""


def queries(board: Board) -> list[str]:
    """All queries of a dashboard: panels, annotations and variables."""
    charts = [chart for section in board.sections for chart in section.charts]
    return [
        *(query.expr for chart in charts for query in chart.queries),
        *(mark.expr for mark in board.marks),
        *(variable.query for variable in board.variables),
    ]


def uses(boards: Sequence[Board], alerts: Sequence[Alert]) -> dict[str, list[str]]:
    """Name of a metric -> titles of dashboards and names of alerts, sorted."""
    found: dict[str, set[str]] = defaultdict(set)
    for board in boards:
        for name in set().union(*map(mentions, queries(board))):
            found[name].add(board.title.removeprefix("ProRL / "))
    for alert in alerts:
        for name in mentions(alert.expr):
            found[name].add(alert.name)
    return {name: sorted(users) for name, users in found.items()}
