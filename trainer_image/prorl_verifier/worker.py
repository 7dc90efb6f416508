"""A worker process: items in on stdin, one JSON line each; verdicts out on stdout.

It holds no secret and no state worth keeping, and is killed with its whole process group when an
item takes too long. `python -m prorl_verifier.worker MEMORY_BYTES`
"""

import json
import math
import os
import resource
import sys
from collections.abc import Callable
from typing import Any, TextIO

from prorl_verifier.domains import instruction, logic, stem
from prorl_verifier.domains import math as math_domain
from prorl_verifier.errors import BadItemError
from prorl_verifier.sandbox import confine
from prorl_verifier.sandbox.budget import Overloaded
from prorl_verifier.sandbox.session import SandboxError

Scorer = Callable[[str, Any, dict[str, Any]], tuple[float, str]]

SCORERS: dict[str, Scorer] = {
    "math-verify": math_domain.score,
    "reasoning-gym": logic.score,
    "stem": stem.score,
    "instruction": instruction.score,
}


def limit_self(memory_bytes: int, file_bytes: int = 0) -> None:
    """Hard limits: no core, no large file, few descriptors, bounded memory."""
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        resource.setrlimit(kind, (value, value))


def judge(item: dict[str, Any], scorers: dict[str, Scorer] = SCORERS) -> dict[str, Any]:
    """{score, reason}, or {error} when the scorer itself failed; with `exhausted` when memory was
    short: perhaps by what earlier items have left behind. Raises SandboxError."""
    try:
        score, reason = scorers[item["verifier"]](item["completion"], item["answer"], item["meta"])
    except (BadItemError, Overloaded) as error:
        return {"error": str(error)}
    except SandboxError:
        raise
    except MemoryError:
        reason = "answer exhausts the scorer: MemoryError"
        return {"score": 0.0, "reason": reason, "exhausted": True}
    except RecursionError:
        return {"score": 0.0, "reason": "answer exhausts the scorer: RecursionError"}
    except Exception as error:  # any scorer's bug on any model text: the text earns nothing
        return {"score": 0.0, "reason": f"answer cannot be scored: {type(error).__name__}"}
    if not (math.isfinite(score) and 0.0 <= score <= 1.0):
        return {"error": f"scorer returned {score}"}
    return {"score": score, "reason": reason}


def own_stdout() -> TextIO:
    """Verdicts leave through a descriptor of their own: a scorer that prints cannot forge one."""
    verdicts = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return verdicts


def answer_items(scorers: dict[str, Scorer], verdicts: TextIO) -> None:
    """Says that it is ready, then answers items until stdin ends."""
    verdicts.write('{"ready": true}\n')
    for line in sys.stdin.buffer:
        verdicts.write(json.dumps(judge(json.loads(line), scorers)) + "\n")


def main() -> None:
    """Answers items until stdin ends."""
    import math_verify
    import reasoning_gym  # noqa: F401 - paid for once, before the limits

    del math_verify
    confine.hide()
    verdicts = own_stdout()
    limit_self(int(sys.argv[1]))
    answer_items(SCORERS, verdicts)


if __name__ == "__main__":
    main()
