"""Progress, checkpoint and reference: whose word counts."""

import pytest
from controller_builders import (
    COORDINATOR,
    NOW,
    ago,
    make_checkpoint,
    make_document,
    make_ended,
    make_job,
    make_observed,
    make_pod_view,
    make_status,
    make_word,
    text,
)
from prorl_api.status import ExportStatus, Progress, ReferenceStatus
from prorl_api.wire import Stage, StatusDocument
from prorl_operator.plan.observed import Observed
from prorl_operator.plan.progress import Training, derive_training

ZERO = Progress(step=0, total_steps=2000)
RESET = ReferenceStatus(version=1, last_reset_step=400)


def training_of(observed: Observed) -> Training:
    return derive_training(observed, NOW)


def step_of(observed: Observed) -> int | None:
    progress = training_of(observed).progress
    return progress.step if progress else None


def saved_step_of(observed: Observed) -> int | None:
    checkpoint = training_of(observed).checkpoint
    return checkpoint.last_step if checkpoint else None


def reported(document: StatusDocument) -> Observed:
    return make_observed(document=document, stored=make_status(reference=RESET))


def ended(code: int, **word: object) -> Observed:
    pod = make_ended(COORDINATOR, code, exit_message=make_word(**word), finished_at=ago(30))
    return make_observed(pod, document=None, stored=make_status(reference=RESET))


def test_nothing_is_known_of_a_job_that_was_never_heard() -> None:
    training = training_of(make_observed(document=None))
    assert training == Training(progress=None, checkpoint=None, reference=None)


def test_a_coordinators_first_words_count_even_while_it_starts() -> None:
    document = make_document(Stage.STARTING, progress=ZERO, checkpoint=None)
    training = training_of(make_observed(document=document))
    assert training == Training(progress=ZERO, checkpoint=None, reference=document.reference)


def test_a_starting_coordinators_zeros_leave_what_is_known() -> None:
    document = make_document(Stage.STARTING, progress=ZERO, checkpoint=None)
    training = training_of(reported(document))
    assert training.progress == make_status().progress
    assert training.checkpoint == make_checkpoint(5)
    assert training.reference == RESET


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.STARTING])
def test_whoever_has_loaded_its_checkpoint_may_go_back_to_it(stage: Stage) -> None:
    document = make_document(
        stage,
        progress=Progress(step=4, total_steps=2000),
        checkpoint=make_checkpoint(4),
        reference=ReferenceStatus(),
    )
    training = training_of(reported(document))
    assert training.progress == document.progress
    assert training.checkpoint == document.checkpoint
    assert training.reference == document.reference


def test_a_coordinator_that_names_no_checkpoint_does_not_take_the_known_one_away() -> None:
    assert saved_step_of(reported(make_document(checkpoint=None))) == 5


def test_an_earlier_attempts_words_count_for_nothing() -> None:
    late = make_document(progress=Progress(step=99, total_steps=2000))
    observed = make_observed(make_pod_view(COORDINATOR, 2), document=late, stored=make_status())
    assert step_of(observed) == 7


def test_the_final_word_is_newer_than_the_last_document() -> None:
    training = training_of(ended(0, step=2000, accuracy=0.75, checkpointStep=2000))
    assert training.progress is not None
    assert training.progress.step == 2000
    assert training.progress.accuracy == 0.75
    assert training.progress.reward_mean == 0.5  # the word has none
    assert training.reference == RESET


@pytest.mark.parametrize(("said", "known"), [(0, 7), (6, 7), (7, 7), (8, 8)])
def test_a_final_word_of_an_earlier_step_is_not_believed(said: int, known: int) -> None:
    assert step_of(ended(19, step=said)) == known


def test_a_crash_without_a_final_word_leaves_what_is_known() -> None:
    pod = make_ended(COORDINATOR, 137)
    observed = make_observed(pod, document=None, stored=make_status())
    assert training_of(observed).progress == make_status().progress
    assert training_of(make_observed(pod, document=None)).progress is None


def test_a_final_word_is_all_that_is_known_of_a_job_that_died_at_once() -> None:
    pod = make_ended(COORDINATOR, 11, exit_message=make_word())
    job = make_job(algorithm={"steps": 40})
    training = training_of(make_observed(pod, job=job, document=None))
    assert training.progress == Progress(step=0, total_steps=40)
    assert training.checkpoint is None


def test_the_final_checkpoint_is_named_as_the_coordinator_names_it() -> None:
    checkpoint = training_of(ended(75, outcome="Stopped", step=8, checkpointStep=8)).checkpoint
    assert checkpoint is not None
    assert checkpoint.last_step == 8
    assert checkpoint.uri == "pvc://q-checkpoints/q/checkpoints/step-00000008"
    assert checkpoint.last_time == text(ago(30))
    assert checkpoint.size_bytes == 9


@pytest.mark.parametrize("step", [None, 4, 5])
def test_a_final_word_without_a_newer_checkpoint_keeps_the_known_one(step: int | None) -> None:
    said = {} if step is None else {"checkpointStep": step}
    assert training_of(ended(19, step=8, **said)).checkpoint == make_checkpoint(5)


def test_the_export_is_known_from_the_final_word_and_so_is_why_there_is_none() -> None:
    uri = "pvc://models/q"
    training = training_of(ended(0, step=2000, export={"uri": uri, "step": 2000}))
    assert training.export == ExportStatus(uri=uri, step=2000)
    training = training_of(ended(0, step=2000, exportFailure="The disk is full."))
    assert (training.export, training.export_failure) == (None, "The disk is full.")
