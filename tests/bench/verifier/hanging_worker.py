"""The service's own worker, but that a completion of `HANG` never ends."""

import socket
from typing import Any

from prorl_verifier import worker
from prorl_verifier.worker import prepare  # noqa: F401 - the forker calls it

HANG = "hang"


def main(arguments: list[str], channel: socket.socket) -> None:
    """As worker.main."""
    worker.limit_self(int(arguments[0]))
    worker.answer_items({name: hanging(grader) for name, grader in worker.GRADERS.items()}, channel)


def hanging(grader: worker.Grader) -> worker.Grader:
    """Also a grader."""

    def opened(answer: Any, meta: dict[str, Any]) -> worker.Grade:
        grade = grader(answer, meta)

        def judge(completion: str) -> tuple[float, str]:
            while completion == HANG:
                pass
            return grade(completion)

        return judge

    return opened
