"""A worker that judges code: this process compares, a sandbox beside it runs the programs.

The forker runs it; its arguments are MEMORY_BYTES LEVEL LIMIT_SECONDS.
"""

import socket

from prorl_verifier.domains.code import CodeScorer
from prorl_verifier.domains.code_tests import MAX_TEXT_BYTES
from prorl_verifier.sandbox.detect import check
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.sandbox.session import Sandbox
from prorl_verifier.worker import answer_items, limit_self


def prepare() -> None:
    """All that it needs is imported above."""


def main(arguments: list[str], channel: socket.socket) -> None:
    """Answers items until the channel closes. A sandbox that fails ends it with a traceback."""
    memory_bytes, level, limit_s = int(arguments[0]), Isolation(int(arguments[1])), arguments[2]
    with Sandbox(level) as sandbox:
        check(sandbox, level)
        limit_self(memory_bytes, file_bytes=MAX_TEXT_BYTES)
        answer_items({"code": CodeScorer(sandbox, float(limit_s)).grader}, channel)
