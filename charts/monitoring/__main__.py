"""`python -m monitoring [--check]`: writes what is made from the registries of metrics.

With --check nothing is written; the exit code is 1 if a file differs.
"""

from pathlib import Path

from prorl_api.generate import sync

from monitoring.exported import exported
from monitoring.metrics_page import metrics_page


def main() -> None:
    """Runs in the repository's root."""
    root = Path.cwd()
    sync({root / "docs" / "metrics.md": metrics_page(exported())}, __doc__)


if __name__ == "__main__":
    main()
