"""What a run says without a terminal."""

from prorl_api.status import Progress as StepProgress
from prorl_api.wire import RoleCount, Stage, StatusDocument
from prorl_cli.progress import Progress
from prorl_cli.view import PLAIN_EVERY_S, PlainView


def make_progress(stage: Stage, message: str = "") -> Progress:
    count = RoleCount(wanted=1, usable=1)
    document = StatusDocument(
        job_uid="u", attempt=1, stage=stage, message=message, ray_session="s",
        progress=StepProgress(), trainers=count, engines=count, spec_hash="h",
    )  # fmt: skip
    return Progress(status=document)


def test_a_count_in_a_stage_is_said_every_few_seconds_and_a_stage_whenever_it_changes() -> None:
    now, lines = 0.0, list[str]()
    view = PlainView(lines.append, 10, clock=lambda: now)
    for step in (20, 40, 60):
        view.show(make_progress(Stage.STARTING, f"Warming up: {step} of 700"), "")
    now = PLAIN_EVERY_S
    view.show(make_progress(Stage.STARTING, "Warming up: 80 of 700"), "")
    view.show(make_progress(Stage.STARTING, "Starting Ray"), "")
    for stage in (Stage.TRAINING, Stage.RECOVERING, Stage.TRAINING):
        view.show(make_progress(stage), "")
        view.show(make_progress(stage), "")
    assert lines == [
        "Starting: Warming up: 20 of 700",
        "Starting: Warming up: 80 of 700",
        "Starting: Starting Ray",
        "Training",
        "Recovering",
        "Training",
    ]
