"""A trainer's pod that is told to go asks the coordinator, unless there is nothing to ask."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
import virtual_clock
from prorl_api.spec_roles import Role
from prorl_api.status import Progress
from prorl_api.wire import Notice, NoticeResult, RoleCount, Stage, StatusDocument
from prorl_trainer.pod.node_life import NodeLife
from prorl_trainer.pod.processes import Child, Processes
from prorl_trainer.pod.settings import PodSettings

SETTINGS = PodSettings(
    role=Role.TRAINER,
    index=0,
    pod_name="q-trainer-0-1",
    pod_ip="127.0.0.1",
    coordinator_host="127.0.0.1",  # nobody listens at Ray's port: no node is started
    num_gpus=0,
    grace_s=60,
    api_token="a",
    ray_token="b",
)


class ScriptedLink:
    """A coordinator in one stage; lets go at the second notice."""

    def __init__(self, stage: Stage) -> None:
        count = RoleCount(wanted=1, usable=0)
        self._document = StatusDocument(
            job_uid="u", attempt=1, stage=stage, ray_session="s", progress=Progress(),
            trainers=count, engines=count, spec_hash="h",
        )  # fmt: skip
        self.heard = asyncio.Event()
        self.notices: list[Notice] = []

    async def status(self) -> StatusDocument:
        if self.notices:
            raise AssertionError("a pod that leaves does not follow any more")
        self.heard.set()
        return self._document

    async def notice(self, notice: Notice) -> NoticeResult:
        self.notices.append(notice)
        return NoticeResult(may_go=len(self.notices) == 2, saved_step=7)


@pytest.mark.parametrize(
    ("stage", "num_notices", "words"),
    [(Stage.TRAINING, 2, "after step 7 was saved"), (Stage.DONE, 0, "is done")],
)
async def test_a_leaving_trainer_waits_for_the_save_unless_the_coordinator_is_done(
    stage: Stage, num_notices: int, words: str
) -> None:
    link = ScriptedLink(stage)
    life = NodeLife(SETTINGS, link, Processes())
    living = asyncio.create_task(life.run())
    await link.heard.wait()
    life.leaving.set()
    message = await living
    assert words in message.message
    assert [n.pod for n in link.notices] == ["q-trainer-0-1"] * num_notices


class EndedLink(ScriptedLink):
    """Its coordinator has ended since it was asked last."""

    async def notice(self, notice: Notice) -> None:  # type: ignore[override]
        self.notices.append(notice)


@pytest.mark.parametrize(("stage", "num_notices"), [(Stage.SAVING, 1), (Stage.TRAINING, 5)])
def test_a_coordinator_that_was_stopping_and_has_gone_is_not_asked_again_and_again(
    stage: Stage, num_notices: int
) -> None:
    link = EndedLink(stage)

    async def live() -> str:
        life = NodeLife(SETTINGS, link, Processes())
        living = asyncio.create_task(life.run())
        await link.heard.wait()
        life.leaving.set()
        return (await living).message

    message, _ = virtual_clock.run(live())
    assert "cannot be reached" in message
    assert len(link.notices) == num_notices


class HesitantLink(ScriptedLink):
    """The first notice does not reach its coordinator."""

    async def notice(self, notice: Notice) -> NoticeResult | None:  # type: ignore[override]
        answer = await super().notice(notice)
        return answer if answer.may_go else None


class OneRay:
    """The processes of a pod with a Ray node, and how they were ended."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.ended: list[str] = []

    def spawn(self, name: str, arguments: Sequence[str], extra: Mapping[str, str]) -> Child:
        self.started.set()
        return Child(name=name, pid=0, exited=asyncio.get_running_loop().create_future())

    async def stop(self, child: Child, grace_s: float) -> None:
        self.ended.append(f"{child.name} in order")

    async def kill_all(self) -> None:
        self.ended.append("all at once")


class LifeWithHead(NodeLife):
    """There is always a Ray head to join."""

    async def _head_answers(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("link", "ended"),
    [
        pytest.param(ScriptedLink(Stage.TRAINING), "ray in order", id="lets go"),
        pytest.param(HesitantLink(Stage.TRAINING), "ray in order", id="lets go when reached again"),
        pytest.param(ScriptedLink(Stage.DONE), "all at once", id="is done"),
        pytest.param(EndedLink(Stage.TRAINING), "all at once", id="has gone"),
    ],
)
def test_ray_ends_in_order_where_a_coordinator_takes_note_of_it(
    link: ScriptedLink, ended: str
) -> None:
    async def live() -> list[str]:
        processes = OneRay()
        life = LifeWithHead(SETTINGS, link, processes)
        living = asyncio.create_task(life.run())
        await processes.started.wait()
        life.leaving.set()
        await living
        return processes.ended

    assert virtual_clock.run(live())[0] == [ended]
