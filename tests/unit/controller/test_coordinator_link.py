"""The operator's look at coordinators: whose words are kept, and what is not believed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from controller_builders import UID, make_document
from prorl_api.commands import Command, CommandKind
from prorl_api.status import Progress
from prorl_api.wire import StatusDocument
from prorl_operator.link.coordinator import LONGEST_DOCUMENT, CoordinatorLink, Target

KEY = ("team", "q")
TARGET = Target(uid=UID, ip="127.0.0.1", token="t")
GOOD = make_document()
LATER = (
    make_document(progress=Progress(step=8, total_steps=2000, kl=0.01))
    .model_dump_json(by_alias=True)
    .encode()
)


class ScriptedCoordinator:
    """Plays one answer per look; at the end of the script it plays the last one again."""

    def __init__(self, *script: StatusDocument | web.Response | bytes) -> None:
        self.script = list(script)
        self.looks = 0
        self.commands: list[Command] = []
        self.asked = asyncio.Condition()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def handle(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer t"
        answer = self.script[min(self.looks, len(self.script) - 1)]
        async with self.asked:
            self.looks += 1
            self.asked.notify_all()
        await self.may_answer.wait()
        if isinstance(answer, web.Response):
            return answer
        text = answer if isinstance(answer, bytes) else answer.model_dump_json(by_alias=True)
        return web.Response(body=text)

    async def obey(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer t"
        self.commands.append(Command.model_validate_json(await request.read()))
        return web.Response(status=503)

    async def was_asked(self, looks: int) -> None:
        """All answers before the last of these looks have been dealt with."""
        async with self.asked:
            await self.asked.wait_for(lambda: self.looks >= looks)


async def answer_later(_: web.Request) -> web.Response:
    return web.Response(body=LATER)


@asynccontextmanager
async def looking_at(coordinator: ScriptedCoordinator) -> AsyncIterator[tuple[Any, list[Any]]]:
    app = web.Application()
    app.router.add_get("/v1/status", coordinator.handle)
    app.router.add_get("/elsewhere", answer_later)
    app.router.add_post("/v1/commands", coordinator.obey)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    changes: list[Any] = []
    link = CoordinatorLink(port=runner.addresses[0][1], poll_s=0.001, changed=changes.append)
    link.follow(KEY, TARGET)
    task = asyncio.create_task(link.run())
    yield link, changes
    task.cancel()
    await runner.cleanup()


async def test_a_job_that_nobody_has_looked_at_has_no_document() -> None:
    link = CoordinatorLink(port=1, poll_s=1.0, changed=lambda key: None)
    link.follow(KEY, TARGET)
    assert link.document(KEY) is None


async def test_only_what_has_changed_wakes_the_job() -> None:
    coordinator = ScriptedCoordinator(GOOD, GOOD, GOOD, LATER)
    async with looking_at(coordinator) as (link, changes):
        await coordinator.was_asked(6)
        assert changes == [KEY, KEY]
        assert link.document(KEY) == StatusDocument.model_validate_json(LATER)


BAD: dict[str, StatusDocument | web.Response | bytes] = {
    "another job": make_document(job_uid="another"),
    "broken": web.Response(status=500, body=LATER),
    "elsewhere": web.Response(status=302, headers={"Location": "/elsewhere"}),
    "garbage": b"{",
    "not a document": b'{"jobUid": "job-uid"}',
    "unknown field": LATER[:-1] + b', "x": 1}',
    "not a number": LATER.replace(b"0.01", b"NaN"),
    "endless": LATER + b" " * LONGEST_DOCUMENT,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_what_is_not_believed_leaves_the_last_words(bad: Any) -> None:
    coordinator = ScriptedCoordinator(GOOD, bad, GOOD)
    async with looking_at(coordinator) as (link, changes):
        await coordinator.was_asked(4)
        assert changes == [KEY]
        assert link.document(KEY) == GOOD


async def test_a_refused_token_wakes_the_job_once_and_again_when_it_is_taken() -> None:
    refused = web.Response(status=401, body=LATER)
    coordinator = ScriptedCoordinator(GOOD, refused, refused)
    async with looking_at(coordinator) as (link, changes):
        assert not link.refuses(KEY)
        await coordinator.was_asked(4)
        assert link.refuses(KEY)
        assert (changes, link.document(KEY)) == ([KEY, KEY], GOOD)
        coordinator.script[-1] = GOOD
        await coordinator.was_asked(coordinator.looks + 2)
        assert not link.refuses(KEY)
        assert changes == [KEY, KEY, KEY]


async def test_a_coordinator_that_does_not_run_refuses_nothing() -> None:
    coordinator = ScriptedCoordinator(web.Response(status=401))
    async with looking_at(coordinator) as (link, _):
        await coordinator.was_asked(2)
        link.follow(KEY, None)
        assert not link.refuses(KEY)


async def test_the_last_words_stay_when_the_coordinator_ends() -> None:
    coordinator = ScriptedCoordinator(GOOD)
    async with looking_at(coordinator) as (link, _):
        await coordinator.was_asked(2)
        link.follow(KEY, None)
        assert link.document(KEY) == GOOD


async def test_a_job_that_is_gone_is_forgotten() -> None:
    coordinator = ScriptedCoordinator(GOOD)
    async with looking_at(coordinator) as (link, _):
        await coordinator.was_asked(2)
        link.forget(KEY)
        assert link.document(KEY) is None


async def test_an_answer_that_comes_after_the_job_is_forgotten_is_dropped() -> None:
    coordinator = ScriptedCoordinator(GOOD)
    coordinator.may_answer.clear()
    async with looking_at(coordinator) as (link, changes):
        await coordinator.was_asked(1)
        link.forget(KEY)
        link.follow(("team", "other"), TARGET)
        coordinator.may_answer.set()
        await coordinator.was_asked(3)
        assert link.document(KEY) is None
        assert changes == [("team", "other")]


async def test_a_command_is_repeated_until_it_is_taken_back_whatever_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    coordinator, command = ScriptedCoordinator(GOOD), Command(id="c", kind=CommandKind.STOP)
    async with looking_at(coordinator) as (link, changes):
        link.ask(KEY, (command,))
        await coordinator.was_asked(4)
        link.ask(KEY, ())
        await coordinator.was_asked(coordinator.looks + 2)
        said = len(coordinator.commands)
        await coordinator.was_asked(coordinator.looks + 3)
        assert said >= 2
        assert coordinator.commands == [command] * said
        assert changes == [KEY], "its document is read all the same"
    assert caplog.text.count("command=Stop refused") == 1, "a refusal is told once"
