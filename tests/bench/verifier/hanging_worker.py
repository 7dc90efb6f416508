"""The service's own worker, but that a completion of `HANG` never ends."""

import socket
from typing import Any

from prorl_verifier import worker
from prorl_verifier.worker import prepare  # noqa: F401 - the forker calls it

HANG = "hang"


def main(arguments: list[str], channel: socket.socket) -> None:
    """As worker.main."""
    worker.limit_self(int(arguments[0]))
    worker.answer_items({name: hanging(score) for name, score in worker.SCORERS.items()}, channel)


def hanging(score: worker.Scorer) -> worker.Scorer:
    """Also a scorer."""

    def judge(completion: str, answer: Any, meta: dict[str, Any]) -> tuple[float, str]:
        while completion == HANG:
            pass
        return score(completion, answer, meta)

    return judge
