"""A worker that judges by the custom verifiers that are installed, and by nothing else: whatever
they do to their process, the others are not in it.

The forker runs it; its argument is MEMORY_BYTES.
"""

import logging
import socket

from prorl_verifier import plugins
from prorl_verifier.sandbox import confine
from prorl_verifier.worker import answer_items, limit_self


def prepare() -> None:
    """Imports no verifier: what one does then must not happen in the process that forks."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def main(arguments: list[str], channel: socket.socket) -> None:
    """Answers items until the channel closes."""
    confine.adopt_orphans()
    graders = plugins.graders(plugins.installed())
    limit_self(int(arguments[0]))
    answer_items(graders, channel)
