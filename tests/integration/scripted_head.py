"""Programs of test_agent.py.

`head`: the real agent of the coordinator's pod, with the scripted coordinator below as its child.
`coordinator`: the real HTTP API over a Control, and /script to move it from outside.
"""

import asyncio
import os
import signal
import sys

from aiohttp import web
from prometheus_client import CollectorRegistry
from prorl_api import runtime
from prorl_api.spec_roles import Role
from prorl_api.status import Progress
from prorl_api.wire import RoleCount, Stage, StatusDocument
from prorl_trainer.agent import live_as_head, run_life
from prorl_trainer.api import build_app, serve
from prorl_trainer.control import Control
from prorl_trainer.observe.status import StatusHolder
from prorl_trainer.pod.settings import read_settings

EXIT_CODE = 7
"""What the scripted coordinator ends with on SIGTERM."""


def document(session: str) -> StatusDocument:
    return StatusDocument(
        job_uid="uid",
        attempt=1,
        stage=Stage.TRAINING,
        ray_session=session,
        progress=Progress(),
        trainers=RoleCount(wanted=1, usable=0),
        engines=RoleCount(wanted=1, usable=0),
        spec_hash="0" * 64,
    )


async def coordinate() -> None:
    settings = read_settings(Role.COORDINATOR, os.environ)
    control, stop = Control(), asyncio.Event()
    status = StatusHolder(document(os.environ["SCRIPT_SESSION"]))

    async def show(_: web.Request) -> web.Response:
        return web.json_response(control.trainers_leaving)

    async def save(_: web.Request) -> web.Response:
        return web.json_response(control.saved(42))

    app = build_app(
        status=status, control=control, registry=CollectorRegistry(), token=settings.api_token
    )
    app.router.add_get("/script/leaving", show)
    app.router.add_post("/script/saved", save)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    runner, _ = await serve(app, "0.0.0.0", runtime.COORDINATOR_PORT)
    await stop.wait()
    await runner.cleanup()
    sys.exit(EXIT_CODE)


def main() -> None:
    if sys.argv[1] == "coordinator":
        asyncio.run(coordinate())
    command = (sys.executable, __file__, "coordinator")
    run_life(Role.COORDINATOR, lambda settings: live_as_head(settings, command))


if __name__ == "__main__":
    main()
