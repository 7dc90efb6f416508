"""One life of the coordinator: API, session, and what it all came to."""

import asyncio
import json
import logging
import os
import secrets

from prorl_api.commands import requests_of
from prorl_api.exit_codes import ExitCode
from prorl_api.status import Progress
from prorl_api.wire import Outcome, RoleCount, Stage, StatusDocument, TerminationMessage

from prorl_trainer.actions import StopRequested
from prorl_trainer.api import build_app, serve
from prorl_trainer.checkpoint.files import Files, storage_errors
from prorl_trainer.checkpoint.place import open_medium
from prorl_trainer.checkpoint.store import CheckpointStore
from prorl_trainer.context import LOOPBACK, Context
from prorl_trainer.control import Control
from prorl_trainer.desk import Desk
from prorl_trainer.errors import TrainingError, last_line
from prorl_trainer.journal.directory import JournalDirectory
from prorl_trainer.journal.journal import Journal
from prorl_trainer.observe.metrics import Metrics
from prorl_trainer.observe.status import StatusHolder
from prorl_trainer.session import Session

log = logging.getLogger(__name__)


async def live(context: Context) -> TerminationMessage:
    """A whole life; never raises for what a user can cause."""
    store = CheckpointStore(
        open_medium(context),
        keep=context.job.spec.checkpoint.keep,
        durable_step=context.durable_step,
    )
    desk = make_desk(context, store)
    for command in requests_of(context.job.spec):
        desk.control.command(command)
    desk.control.listen()
    app = build_app(
        status=desk.status,
        control=desk.control,
        registry=desk.metrics.registry,
        token=context.api_token,
    )
    runner, port = await serve(app, context.host, context.port)
    try:
        if context.local:
            _write_endpoint(context, port)
        return await train(desk, Session(desk))
    finally:
        await runner.cleanup()


def make_desk(context: Context, store: CheckpointStore, journal: Files | None = None) -> Desk:
    """Before the store is claimed. `journal`: the journal's file operations."""
    attempt = context.attempt or 0
    spec, metrics = context.job.spec, Metrics()
    status = StatusHolder(
        StatusDocument(
            job_uid=context.job.uid,
            attempt=attempt,
            stage=Stage.STARTING,
            ray_session=f"{attempt}-{secrets.token_hex(4)}",
            progress=Progress(total_steps=spec.algorithm.steps),
            trainers=RoleCount(wanted=spec.world_size, usable=0),
            engines=RoleCount(wanted=spec.rollout.replicas, usable=0),
            spec_hash=context.job.hash,
            generation=context.job.generation,
        )
    )
    return Desk(
        context=context,
        store=store,
        journal=Journal(
            JournalDirectory(context.journal, lambda: store.writer, journal),
            max_staleness=spec.rollout.max_staleness,
            count=metrics.count,
        ),
        control=Control(),
        metrics=metrics,
        status=status,
    )


async def train(desk: Desk, session: Session) -> TerminationMessage:
    """From the session's start to its end, whatever ends it."""
    training = asyncio.create_task(session.run())
    stopping = asyncio.create_task(_stop_before_training(desk, training))
    try:
        await training
        message = _message(Outcome.SUCCEEDED, ExitCode.SUCCEEDED, "All steps are done.", session)
    except StopRequested as stop:
        message = _message(Outcome.STOPPED, ExitCode.STOPPED, str(stop), session)
    except asyncio.CancelledError:
        text = "Stopped on request before the first step."
        message = _message(Outcome.STOPPED, ExitCode.STOPPED, text, session)
    except TrainingError as error:
        message = _message(Outcome.FAILED, error.exit_code, str(error), session)
        log.error("training failed: %s", error)
    except Exception as error:
        log.exception("unforeseen error")
        text = f"{type(error).__name__}: {last_line(str(error))}"
        message = _message(Outcome.FAILED, ExitCode.INTERNAL, text, session)
    stopping.cancel()
    desk.status.stage(Stage.DONE, message.message)
    await session.close()
    return _with_export(message, desk)


async def _stop_before_training(desk: Desk, training: "asyncio.Task[object]") -> None:
    """While the parts are starting there is no safe point and nothing to save: just end."""
    while not desk.control.stop_requested:
        # The loop answers while it trains, and while it is paused.
        if desk.status.document().stage not in (Stage.TRAINING, Stage.PAUSED):
            desk.control.release_all()
        await desk.control.changed()
    if desk.status.document().stage in (Stage.STARTING, Stage.RECOVERING):
        training.cancel()
    else:
        desk.status.stage(Stage.SAVING, "Saving at the end of this step")


def _message(outcome: Outcome, code: ExitCode, text: str, session: Session) -> TerminationMessage:
    state = session.state
    return TerminationMessage(
        outcome=outcome,
        exit_code=code,
        reason=code.reason,
        message=text[:2000],
        step=0 if state is None else state.step,
        checkpoint_step=session.checkpoint_step,
        accuracy=None if state is None else state.accuracy,
        reward_mean=None if state is None else state.reward_mean,
    )


def _with_export(message: TerminationMessage, desk: Desk) -> TerminationMessage:
    document = desk.status.document()
    update = {"export": document.export, "export_failure": document.export_failure}
    return message.model_copy(update=update)


def _write_endpoint(context: Context, port: int) -> None:
    path = context.directory / "endpoint.json"
    temporary = path.with_suffix(".tmp")
    with storage_errors(path):
        temporary.write_text(json.dumps({"url": f"http://{LOOPBACK}:{port}", "pid": os.getpid()}))
        temporary.rename(path)
