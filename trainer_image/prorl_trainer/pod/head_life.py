"""The life of the coordinator's pod: the Ray head and the coordinator, one cannot live alone."""

import asyncio
import logging
import signal
import sys

from prorl_api.exit_codes import ExitCode
from prorl_api.wire import Outcome, TerminationMessage

from prorl_trainer import ray_node
from prorl_trainer.pod.processes import Child, Processes
from prorl_trainer.pod.settings import PodSettings

log = logging.getLogger(__name__)

COORDINATOR = (sys.executable, "-m", "prorl_trainer.coordinator")
RESERVE_S = 5.0


class HeadLife:
    """`run` lives until the coordinator ends, or the head does."""

    def __init__(
        self,
        settings: PodSettings,
        processes: Processes,
        coordinator: tuple[str, ...],
    ) -> None:
        self._settings = settings
        self._processes = processes
        self._command = coordinator
        self._coordinator: Child | None = None

    def leave(self) -> None:
        """SIGTERM has come: the coordinator saves and ends, the head follows."""
        if self._coordinator is not None:
            self._coordinator.signal(signal.SIGTERM)

    async def run(self) -> tuple[int, TerminationMessage | None]:
        """The exit code, and the final word where the coordinator could not write it itself.

        Both start at once: the coordinator prepares model and data while the head comes up.
        """
        environment = ray_node.ray_environment(self._settings.ray_token)
        arguments = ray_node.head_arguments(self._settings.pod_ip)
        head = self._processes.spawn("ray", arguments, environment)
        coordinator = self._processes.spawn("coordinator", self._command, environment)
        self._coordinator = coordinator
        await asyncio.wait({head.exited, coordinator.exited}, return_when=asyncio.FIRST_COMPLETED)
        head_died = not coordinator.exited.done()
        if head_died:
            coordinator.signal(signal.SIGTERM)
            await asyncio.wait({coordinator.exited}, timeout=self._settings.grace_s - RESERVE_S)
        await self._processes.kill_all()  # Ray would wait for actors that nobody asks any more
        await asyncio.wait({head.exited, coordinator.exited})
        return _final_word(head, coordinator, head_died=head_died)


def _final_word(
    head: Child, coordinator: Child, *, head_died: bool
) -> tuple[int, TerminationMessage | None]:
    code = coordinator.exited.result()
    if code == ExitCode.SUCCEEDED:
        return code, None
    if head_died:
        last = " | ".join(list(head.tail)[-5:])
        return _internal(f"The Ray head ended with code {head.exited.result()}: {last}")
    if code < 0:
        name = signal.Signals(-code).name
        hint = ": probably out of memory" if name == "SIGKILL" else ""
        return _internal(f"The coordinator was ended by {name}{hint}.")
    return code, None


def _internal(text: str) -> tuple[int, TerminationMessage]:
    message = TerminationMessage(
        outcome=Outcome.FAILED,
        exit_code=ExitCode.INTERNAL,
        reason=ExitCode.INTERNAL.reason,
        message=text[:2000],
    )
    return ExitCode.INTERNAL, message
