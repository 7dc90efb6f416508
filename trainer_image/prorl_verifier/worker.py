"""A worker process: items in, one JSON line each; answers out at once, in the same order.

It holds no secret and no state worth keeping, and is killed with its whole process group when an
item takes too long. The forker runs it; its argument is MEMORY_BYTES.
"""

import json
import math
import resource
import socket
import time
from collections.abc import Callable
from typing import Any

from prorl_verifier.domains import instruction, logic, stem
from prorl_verifier.domains import math as math_domain
from prorl_verifier.errors import BadItemError
from prorl_verifier.sandbox.budget import Overloaded
from prorl_verifier.sandbox.session import SandboxError

READ_BYTES = 1 << 16

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


def answer_items(scorers: dict[str, Scorer], channel: socket.socket) -> None:
    """Says that it is ready, then answers items until the channel closes."""
    channel.sendall(b'{"ready": true}\n')
    with channel.makefile("rb", buffering=READ_BYTES) as lines:
        for line in lines:
            begin = time.monotonic()
            answer = judge(json.loads(line), scorers)
            answer["seconds"] = time.monotonic() - begin
            channel.sendall(json.dumps(answer).encode() + b"\n")


def prepare() -> None:
    """Imports what every worker needs."""
    import math_verify
    import reasoning_gym  # noqa: F401 - paid for once, before the fork and the limits

    del math_verify


def main(arguments: list[str], channel: socket.socket) -> None:
    """Answers items until the channel closes."""
    limit_self(int(arguments[0]))
    answer_items(SCORERS, channel)
