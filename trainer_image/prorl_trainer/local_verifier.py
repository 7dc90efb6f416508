"""Local mode: the verification service as a process on this machine."""

import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

import aiohttp
from prorl_api.runtime import CREDENTIAL_KEYS, TRACKING_KEYS
from prorl_api.spec_roles import VerifierSpec

from prorl_trainer.checkpoint.files import storage_errors
from prorl_trainer.context import LOOPBACK
from prorl_trainer.errors import TrainingError, VerifierError

log = logging.getLogger(__name__)

SECRETS = frozenset((*CREDENTIAL_KEYS, *TRACKING_KEYS))
"""Variables that the verifier, beside which model output runs, does not get."""

START_TIMEOUT_S = 60.0
RELAUNCH_SECONDS = 1.0
"""Pause after a failed start; without one the loop would never get its turn."""


class LocalVerifier:
    """Keeps `python -m prorl_verifier` running on a free loopback port until it is closed."""

    def __init__(self, token_file: Path, spec: VerifierSpec, log_file: Path) -> None:
        self._token_file = token_file
        self._spec = spec
        self._log_file = log_file
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._port = _free_port()
        self.url = f"http://{LOOPBACK}:{self._port}"

    async def start(self) -> None:
        """Returns when the service is ready. Raises VerifierError, StorageError."""
        await self._launch()
        self._keeper = asyncio.create_task(self._keep())

    async def _launch(self) -> None:
        workers = str(max(1, (os.cpu_count() or 2) // 2))
        command = [
            sys.executable, "-m", "prorl_verifier", "--host", LOOPBACK, "--port", str(self._port),
            "--workers", workers, "--code-workers", workers,
            "--timeout-seconds", str(self._spec.timeout_seconds),
            "--minimum-isolation", self._spec.minimum_isolation,
            "--token-file", str(self._token_file), "--until-stdin-closes", *self._spec.remote_flags,
        ]  # fmt: skip
        with storage_errors(self._log_file), self._log_file.open("ab") as output:
            # Its own session: a Ctrl-C must not end it before the last batch is judged. The end of
            # this process, however it comes, closes its stdin.
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={k: v for k, v in os.environ.items() if k not in SECRETS},
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._wait_ready(self._process)
        except TimeoutError as error:
            raise VerifierError(
                f"The verifier was not ready after {START_TIMEOUT_S:.0f} s; see {self._log_file}."
            ) from error

    async def _wait_ready(self, process: asyncio.subprocess.Process) -> None:
        async with aiohttp.ClientSession() as session:
            while process.returncode is None:
                try:
                    async with session.get(f"{self.url}/readyz") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass  # not listening yet
                await asyncio.sleep(0.1)
        raise VerifierError(
            f"The verifier ended with code {process.returncode}; see {self._log_file}."
        )

    async def _keep(self) -> None:
        """Starts the service again when it dies; the client is patient meanwhile."""
        while self._process is not None:
            code = await self._process.wait()
            log.warning("verifier ended with code %s, it is started again", code)
            try:
                await self._launch()
            except TrainingError as error:
                log.error("verifier: %s", error)
                await asyncio.sleep(RELAUNCH_SECONDS)

    async def close(self) -> None:
        """Ends the service."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
