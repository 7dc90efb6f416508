"""`python -m monitoring [--check]`: writes docs/metrics.md and the chart's dashboards.

With --check nothing is written; the exit code is 1 if a file differs.
"""

from pathlib import Path

from prorl_api.generate import sync

from monitoring.boards.build import board_json
from monitoring.boards.fleet import FLEET
from monitoring.boards.job import JOB_BOARD
from monitoring.boards.operator_board import OPERATOR
from monitoring.boards.training import TRAINING
from monitoring.exported import exported
from monitoring.metrics_page import metrics_page
from monitoring.rules import load_alerts
from monitoring.uses import uses

BOARDS = (TRAINING, JOB_BOARD, FLEET, OPERATOR)
DASHBOARDS = Path("charts/prorl-operator/dashboards")


def files(root: Path) -> dict[Path, str]:
    """Path -> text of all that is made here."""
    made = {root / DASHBOARDS / f"{board.uid}.json": board_json(board) for board in BOARDS}
    return made | {
        root / "docs" / "metrics.md": metrics_page(exported(), uses(BOARDS, load_alerts()))
    }


if __name__ == "__main__":
    sync(files(Path.cwd()), __doc__)
