"""A worker process: items in, run by run; answers out at once, one JSON line each, in the same
order.

It holds no secret and no state worth keeping, and is killed with its whole process group when an
item takes too long. The forker runs it; its argument is MEMORY_BYTES.
"""

import math
import resource
import socket
import time
from collections.abc import Callable
from io import BufferedReader
from typing import Any

from prorl_verifier import runs
from prorl_verifier.domains import instruction, logic, stem
from prorl_verifier.domains import math as math_domain
from prorl_verifier.errors import BadItemError
from prorl_verifier.sandbox.budget import Overloaded
from prorl_verifier.sandbox.session import SandboxError

READ_BYTES = 1 << 16

Grade = Callable[[str], tuple[float, str]]
"""Score and reason of a completion."""
Grader = Callable[[Any, dict[str, Any]], Grade]
"""Reads the answer and the meta of a group, once for all of its completions."""

Said = dict[str, Any]
"""The fields of a runs.Answer."""

GRADERS: dict[str, Grader] = {
    "math-verify": math_domain.grader,
    "reasoning-gym": logic.grader,
    "stem": stem.grader,
    "instruction": instruction.grader,
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


def opened(first: runs.Task, graders: dict[str, Grader] = GRADERS) -> Callable[[runs.Task], Said]:
    """Judges the items of a group, which share their problem with the first. What is wrong with the
    problem is said of each of them."""
    grade: Grade | None = None

    def answer_of(task: runs.Task) -> Said:
        nonlocal grade
        if grade is None:
            grade = graders[first.verifier](*runs.problem_of(first))
        score, reason = grade(runs.completion_of(task))
        if not (math.isfinite(score) and 0.0 <= score <= 1.0):
            return {"error": f"scorer returned {score}"}
        return {"score": score, "reason": reason}

    return lambda task: judge(answer_of, task)


def judge(answer_of: Callable[[runs.Task], Said], task: runs.Task) -> Said:
    """{score, reason}, or {error} when the scorer itself failed; with `exhausted` when memory was
    short: perhaps by what earlier items have left behind. Raises SandboxError."""
    try:
        return answer_of(task)
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


def answer_items(graders: dict[str, Grader], channel: socket.socket) -> None:
    """Says that it is ready, then answers items until the channel closes."""
    channel.sendall(b"ready\n")
    problem: runs.Problem | None = None
    with BufferedReader(channel.makefile("rb", buffering=0), READ_BYTES) as stream:
        for tasks in runs.read(stream):
            for task in tasks:
                begin = time.monotonic()
                if (its := task.problem) != problem:
                    problem, answer_of = its, opened(task, graders)
                answer = answer_of(task)
                answer["seconds"] = time.monotonic() - begin
                channel.sendall(runs.answer_line(answer))


def prepare() -> None:
    """Imports what every worker needs."""
    import math_verify
    import reasoning_gym  # noqa: F401 - paid for once, before the fork and the limits

    del math_verify


def main(arguments: list[str], channel: socket.socket) -> None:
    """Answers items until the channel closes."""
    limit_self(int(arguments[0]))
    answer_items(GRADERS, channel)
