"""The errors that end or interrupt a run; each names the exit code it ends with."""

import difflib
from collections.abc import Sequence
from typing import ClassVar

from prorl_api.exit_codes import ExitCode

MAX_CAUSE_CHARACTERS = 500
MAX_LISTED = 12


def one_line(error: BaseException) -> str:
    """What a library says, which may be a page, as part of a sentence."""
    return " ".join(str(error).split())[:MAX_CAUSE_CHARACTERS] or type(error).__name__


def last_line(text: str) -> str:
    """The point of a text that quotes the traceback of another process."""
    return " ".join(text.strip().rpartition("\n")[2].split())[:MAX_CAUSE_CHARACTERS]


def close_matches(word: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown word: what may have been meant, or what there is."""
    matches = difflib.get_close_matches(word, known, n=3)
    if matches:
        return f"; did you mean {' or '.join(matches)}?"
    listed = ", ".join(known[:MAX_LISTED])
    return f" (there are: {listed})." if len(known) <= MAX_LISTED and listed else "."


class TrainingError(Exception):
    """Base: the run cannot go on as it is. The message is a full sentence for the user."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class ConfigError(TrainingError):
    """The job document is wrong: field, value and limit are in the message."""

    exit_code = ExitCode.CONFIG


class DataError(TrainingError):
    """A dataset is missing or has a malformed row: set, row number and column are named."""

    exit_code = ExitCode.DATA


class ModelError(TrainingError):
    """The model is missing or cannot be loaded."""

    exit_code = ExitCode.MODEL


class CheckpointError(TrainingError):
    """No checkpoint may be used, or a fresh start beside existing ones was refused."""

    exit_code = ExitCode.CHECKPOINT


class StorageError(TrainingError):
    """Writing failed, or a data source did not answer; the last durable checkpoint stands."""

    exit_code = ExitCode.STORAGE


class StorageAwayError(StorageError):
    """A server or device does not answer. It may come back by itself."""


class NonFiniteError(TrainingError):
    """A loss, gradient or reward was not finite; no weights were changed by it."""

    exit_code = ExitCode.NON_FINITE


class GuardError(TrainingError):
    """A rule of spec.guard was broken, and its action is to fail."""

    exit_code = ExitCode.GUARD


class NoSignalError(TrainingError):
    """Dynamic sampling found too few groups with a signal."""

    exit_code = ExitCode.NO_SIGNAL


class WeightSyncError(TrainingError):
    """Weights could not be published to any engine."""

    exit_code = ExitCode.WEIGHT_SYNC


class VerifierError(TrainingError):
    """The verification service stayed unreachable or answered nonsense."""

    exit_code = ExitCode.VERIFIER


class TrainerLostError(TrainingError):
    """A learner rank is gone. The coordinator rebuilds the group from the last checkpoint."""

    exit_code = ExitCode.TRAINER_LOST


class EngineLostError(TrainingError):
    """One engine is gone. The pool goes on with the others and waits when none is left."""

    exit_code = ExitCode.ENGINE

    def __init__(self, engine: str, reason: str) -> None:
        super().__init__(engine, reason)  # both, so that it survives pickling
        self.engine = engine
        self.reason = reason

    def __str__(self) -> str:
        return f"Engine {self.engine} is gone: {last_line(self.reason)}"


class UnauthorizedError(TrainingError):
    """A token was refused."""

    exit_code = ExitCode.UNAUTHORIZED
