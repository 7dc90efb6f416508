"""The dashboards' JSON: Grafana's types take it, nothing overlaps, queries ask for what is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from monitoring.__main__ import BOARDS, DASHBOARDS, files
from monitoring.boards.model import GRID_WIDTH, Board
from monitoring.exported import exported
from monitoring.rules import load_alerts, mentions
from monitoring.uses import NOT_OURS, NOT_SHOWN, queries, uses

ROOT = Path(__file__).parents[2]
USED = uses(BOARDS, load_alerts())
each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
Json = dict[str, Any]


def _document(board: Board) -> Json:
    return dict(json.loads((ROOT / DASHBOARDS / f"{board.uid}.json").read_text()))


def _panels(document: Json) -> Iterator[Json]:
    yield from (panel for panel in document["panels"] if panel["type"] != "row")


def test_the_files_are_current() -> None:
    stale = [path.name for path, text in files(ROOT).items() if path.read_text() != text]
    assert stale == [], "run make generate"
    known = {f"{board.uid}.json" for board in BOARDS}
    assert {path.name for path in (ROOT / DASHBOARDS).iterdir()} == known


@each_board
def test_grafanas_types_read_and_write_it_without_a_loss(board: Board) -> None:
    register_default_plugins()
    document = _document(board)
    read = Dashboard.from_json(json.loads(json.dumps(document)))
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == document
    assert document["schemaVersion"] == 41
    assert "__inputs" not in document


@each_board
def test_panels_lie_within_the_grid_and_on_no_other(board: Board) -> None:
    document = _document(board)
    cells = [cell for panel in document["panels"] for cell in _cells(panel["gridPos"])]
    assert len(set(cells)) == len(cells), "panels overlap"
    assert all(0 <= x < GRID_WIDTH for x, _ in cells)
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)


def _cells(place: Json) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


@each_board
def test_every_panel_has_a_title_a_query_and_the_chosen_source(board: Board) -> None:
    for panel in _panels(_document(board)):
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
        targets = panel["targets"]
        assert targets
        assert len({target["refId"] for target in targets}) == len(targets)
    titles = [panel["title"] for panel in _panels(_document(board))]
    assert len(set(titles)) == len(titles)


@each_board
def test_queries_use_only_variables_that_there_are(board: Board) -> None:
    variables = {one["name"] for one in _document(board)["templating"]["list"]}
    assert variables == {"datasource", *(one.name for one in board.variables)}
    used = {name for query in queries(board) for name in re.findall(r"\$(\w+)", query)}
    assert used <= variables | {"__rate_interval"}


@each_board
def test_each_selector_is_limited_to_what_was_chosen(board: Board) -> None:
    wanted = [f"${one.name}" for one in board.variables]
    for query in (q.expr for s in board.sections for c in s.charts for q in c.queries):
        selectors = re.findall(r"\{([^}]*)\}", query)
        for selector in selectors:
            assert all(name in selector for name in wanted), query
        assert not wanted or len(selectors) == len(mentions(query)), query


def test_queries_ask_for_exported_metrics_or_say_whose_they_are() -> None:
    ours = {name for metric in exported() for name in metric.names}
    assert set(USED) - ours == set(NOT_OURS)


def test_every_exported_metric_is_used_or_says_why_not() -> None:
    unused = {m.name for m in exported() if not any(name in USED for name in m.names)}
    assert unused == set(NOT_SHOWN)
