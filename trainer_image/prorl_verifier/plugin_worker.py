"""A worker that judges by the custom verifiers that are installed, and by nothing else: whatever
they do to their process, the others are not in it.

`python -m prorl_verifier.plugin_worker MEMORY_BYTES`
"""

import logging
import sys

from prorl_verifier import plugins
from prorl_verifier.sandbox import confine
from prorl_verifier.worker import answer_items, limit_self, own_stdout


def main() -> None:
    """Answers items until stdin ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    confine.hide()
    confine.adopt_orphans()
    verdicts = own_stdout()
    scorers = plugins.scorers(plugins.installed())
    limit_self(int(sys.argv[1]))
    answer_items(scorers, verdicts)


if __name__ == "__main__":
    main()
