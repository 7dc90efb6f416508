"""A job whose pods and coordinator the test plays."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from controller_cluster import COORDINATOR_IP, Namespace, until
from serving import Quiet, serving

FIRST = {"q-coordinator-0-1", "q-trainer-0-1", "q-rollout-0-1", "q-verifier-0-1"}


class Coordinator:
    """Answers GET /v1/status with a document that the test changes, and hears commands."""

    def __init__(self, uid: str) -> None:
        self.tokens: set[str] = set()
        self.looks = 0
        self.commands: list[str] = []
        self.document: dict[str, Any] = {
            "jobUid": uid,
            "attempt": 1,
            "stage": "Starting",
            "raySession": "s",
            "progress": {"step": 0, "totalSteps": 50},
            "trainers": {"wanted": 1, "usable": 0},
            "engines": {"wanted": 1, "usable": 0},
            "specHash": "h",
            "generation": 1,
        }

    def hear(self, command: dict[str, Any]) -> None:
        """A changed spec is in force at once; of anything else the test sees the id, every time."""
        if command["kind"] == "Configure":
            self.document["generation"] = command["live"]["generation"]
        else:
            self.commands.append(f"{command['kind']} {command['id']}")

    def asked_for(self) -> set[str]:
        """What was heard more than once is one command: it is carried out once."""
        return set(self.commands)

    def hears_no_more(self) -> bool:
        """Nothing is asked for during a few more looks."""
        self.commands, seen = [], self.looks
        until("a few looks", lambda: self.looks >= seen + 3)
        return not self.commands


@contextmanager
def played(coordinator: Coordinator) -> Iterator[int]:
    class Handler(Quiet):
        def do_GET(self) -> None:
            coordinator.looks += 1
            coordinator.tokens.add(self.headers.get("Authorization", ""))
            self.send_document(coordinator.document)

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            coordinator.hear(json.loads(text))
            self.send_response(200)
            self.end_headers()

    with serving(Handler, COORDINATOR_IP) as port:
        yield port


def start_all(space: Namespace, *, ip: str = "127.0.0.1") -> None:
    until("all pods", lambda: space.names("pods") >= FIRST)
    for pod in FIRST:
        space.run_pod(pod, ip=ip)


def gone_or_leaving(space: Namespace, pod: str) -> bool:
    found = space.api.get(f"{space.core}/pods/{pod}")
    return found is None or "deletionTimestamp" in found["metadata"]
