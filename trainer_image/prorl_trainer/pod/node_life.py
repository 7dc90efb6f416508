"""The life of a trainer or rollout pod: join the job's Ray cluster, rejoin a new head, leave."""

import asyncio
import logging
from collections.abc import Awaitable

from aiohttp import web
from prorl_api import runtime
from prorl_api.exit_codes import ExitCode
from prorl_api.wire import Notice, NoticeResult, Outcome, Stage, TerminationMessage

from prorl_trainer import ray_node
from prorl_trainer.errors import UnauthorizedError
from prorl_trainer.pod.link import CoordinatorLink
from prorl_trainer.pod.processes import Child, Processes
from prorl_trainer.pod.settings import PodSettings

log = logging.getLogger(__name__)

POLL_S = 1.0
CONNECT_TIMEOUT_S = 2.0
RESERVE_S = 5.0
"""Seconds of the grace period that are kept for stopping Ray."""
STOP_RAY_S = 5.0
UNREACHED_NOTICES = 5
"""Without a coordinator nothing can be saved, so after so many calls in a row the pod goes."""


class NodeLife:
    """`run` lives until `leaving` is set, or raises TrainingError."""

    def __init__(self, settings: PodSettings, link: CoordinatorLink, processes: Processes) -> None:
        self._settings = settings
        self._link = link
        self._processes = processes
        self._ray: Child | None = None
        self._ray_session = ""
        self._stage = Stage.STARTING
        """The coordinator's last word."""
        self._unreached = 0
        """Calls in a row that it has not answered."""
        self.leaving = asyncio.Event()
        """SIGTERM has come."""

    @property
    def joined(self) -> bool:
        """The Ray node is up and belongs to the coordinator's current Ray session."""
        ray = self._ray
        return ray is not None and not ray.exited.done() and ray.has_written(ray_node.JOINED)

    async def run(self) -> TerminationMessage:
        """Raises UnauthorizedError when a token is refused."""
        joining = asyncio.create_task(self._keep_joined())
        leaving = asyncio.create_task(self.leaving.wait())
        try:
            await asyncio.wait({joining, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if joining.done():
                await joining
            joining.cancel()
            text = await self._ask_to_go()
        finally:
            joining.cancel()
            leaving.cancel()
            await self._leave_ray()
        return TerminationMessage(
            outcome=Outcome.STOPPED,
            exit_code=ExitCode.SUCCEEDED,
            reason=ExitCode.STOPPED.reason,
            message=text,
        )

    async def _leave_ray(self) -> None:
        """In order if there is somebody to take note of it: Ray waits for its actors to end, which
        those of a coordinator that has gone do not."""
        if self._ray is not None and self._stage is not Stage.DONE and not self._unreached:
            await self._processes.stop(self._ray, STOP_RAY_S)
        else:
            await self._processes.kill_all()

    async def _keep_joined(self) -> None:
        while True:
            status = await self._link.status()
            self._unreached = 0 if status is not None else self._unreached + 1
            if status is not None:
                self._stage = status.stage
                await self._follow(status.ray_session)
            await self._pause()

    async def _follow(self, session: str) -> None:
        """Ends a node of an older session or one that has died, and joins the session."""
        ray = self._ray
        if ray is not None and (ray.exited.done() or session != self._ray_session):
            log.info("ray_session=%s left, new=%s", self._ray_session, session)
            await self._processes.kill_all()
            self._ray = None
            if ray.has_written(*ray_node.REFUSED):
                raise UnauthorizedError(
                    "The Ray head refuses this pod's Ray token: the pods of the job do not share "
                    "the same Secret."
                )
        if self._ray is None and await self._head_answers():
            self._ray, self._ray_session = self._start_ray(), session
            log.info("ray_session=%s joining", session)

    def _start_ray(self) -> Child:
        settings = self._settings
        arguments = ray_node.node_arguments(
            settings.role,
            head=settings.coordinator_host,
            node_ip=settings.pod_ip,
            num_gpus=settings.num_gpus,
        )
        return self._processes.spawn("ray", arguments, ray_node.ray_environment(settings.ray_token))

    async def _head_answers(self) -> bool:
        """`ray start` would wait long for a head that is not there."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(
                    self._settings.coordinator_host, runtime.RAY_GCS_PORT
                )
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def _pause(self) -> None:
        """Until the next poll; shorter when the node dies meanwhile."""
        if self._ray is None or self._ray.exited.done():
            await asyncio.sleep(POLL_S)
        else:
            await asyncio.wait({self._ray.exited}, timeout=POLL_S)

    async def _ask_to_go(self) -> str:
        """Repeats the notice until the pod may go; returns why it goes."""
        if self._stage is Stage.DONE:
            return "The coordinator is done: there is nothing to save."
        clock = asyncio.get_running_loop().time
        deadline = clock() + max(0.0, self._settings.grace_s - RESERVE_S)
        # One that was stopping has ended: what there was to save is saved.
        most = 1 if self._stage is Stage.SAVING else UNREACHED_NOTICES
        while (left := deadline - clock()) > 0 and self._unreached < most:
            result = await _before(deadline, self._link.notice(self._notice(left)))
            self._unreached = 0 if result is not None else self._unreached + 1
            if result is not None and result.may_go:
                return "The coordinator let the pod go" + _saved(result.saved_step)
            await asyncio.sleep(min(POLL_S, max(0.0, deadline - clock())))
        if left > 0:
            return "The pod went without leave: the coordinator cannot be reached."
        return "The pod went without leave: its grace period is over."

    def _notice(self, left_s: float) -> Notice:
        return Notice(
            pod=self._settings.pod_name,
            role=self._settings.role,
            index=self._settings.index,
            deadline_seconds=left_s + RESERVE_S,
        )


async def _before(deadline: float, call: Awaitable[NoticeResult | None]) -> NoticeResult | None:
    try:
        async with asyncio.timeout_at(deadline):
            return await call
    except TimeoutError:
        return None


def _saved(step: int | None) -> str:
    return "." if step is None else f" after step {step} was saved."


def build_health_app(life: NodeLife) -> web.Application:
    """/healthz: the agent runs. /readyz: the Ray node has joined."""

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        if life.joined:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="The Ray node has not joined the coordinator.\n")

    app = web.Application()
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    return app
