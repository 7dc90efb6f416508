"""A worker that judges code: this process compares, a sandbox beside it runs the programs.

`python -m prorl_verifier.code_worker MEMORY_BYTES LEVEL LIMIT_SECONDS`
"""

import sys

from prorl_verifier.domains.code import CodeScorer
from prorl_verifier.domains.code_tests import MAX_TEXT_BYTES
from prorl_verifier.sandbox import confine
from prorl_verifier.sandbox.detect import check
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.sandbox.session import Sandbox
from prorl_verifier.worker import answer_items, limit_self, own_stdout


def main() -> None:
    """Answers items until stdin ends. A sandbox that fails ends it with a traceback."""
    memory_bytes, level, limit_s = int(sys.argv[1]), Isolation(int(sys.argv[2])), sys.argv[3]
    confine.hide()
    verdicts = own_stdout()
    with Sandbox(level) as sandbox:
        check(sandbox, level)
        limit_self(memory_bytes, file_bytes=MAX_TEXT_BYTES)
        answer_items({"code": CodeScorer(sandbox, float(limit_s)).score}, verdicts)


if __name__ == "__main__":
    main()
