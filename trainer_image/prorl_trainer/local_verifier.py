"""Local mode: the verification service as a process on this machine."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import aiohttp

from prorl_trainer.context import LOOPBACK
from prorl_trainer.errors import VerifierError

START_TIMEOUT_S = 60.0


class LocalVerifier:
    """Starts `python -m prorl_verifier` on a free loopback port and ends it."""

    def __init__(self, token_file: Path, timeout_seconds: int, log_file: Path) -> None:
        self._token_file = token_file
        self._timeout_seconds = timeout_seconds
        self._log_file = log_file
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> None:
        """Returns when the service is ready. Raises VerifierError."""
        port = _free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        command = [
            sys.executable, "-m", "prorl_verifier", "--host", LOOPBACK, "--port", str(port),
            "--workers", str(max(1, (os.cpu_count() or 2) // 2)),
            "--timeout-seconds", str(self._timeout_seconds),
            "--token-file", str(self._token_file),
        ]  # fmt: skip
        with self._log_file.open("ab") as log:
            # Its own session: a Ctrl-C must not end it before the last batch is judged.
            self._process = await asyncio.create_subprocess_exec(
                *command, stdout=log, stderr=log, start_new_session=True
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

    async def close(self) -> None:
        """Ends the service."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
