"""The exit codes that the trainer image ends with: meaning and what the operator does."""

from enum import IntEnum, StrEnum


class Action(StrEnum):
    """What a pod's end means for the job."""

    COMPLETE = "Complete"
    """The job has succeeded."""
    FAIL_JOB = "FailJob"
    """Repeating it cannot help: the job has failed."""
    RESTART = "Restart"
    """Replace the pod, count the failure against runPolicy.maxRestarts."""
    REPLACE = "Replace"
    """Replace the pod, count nothing."""


class ExitCode(IntEnum):
    """Exit codes of the coordinator and the agents. Anything else is treated as INTERNAL."""

    SUCCEEDED = 0
    INTERNAL = 1
    CONFIG = 10
    DATA = 11
    MODEL = 12
    CHECKPOINT = 13
    STORAGE = 14
    NON_FINITE = 15
    NO_SIGNAL = 16
    WEIGHT_SYNC = 17
    VERIFIER = 18
    TRAINER_LOST = 19
    UNAUTHORIZED = 20
    ENGINE = 21
    GUARD = 22
    STOPPED = 75

    @property
    def reason(self) -> str:
        """The name in CamelCase, as Kubernetes writes reasons."""
        return "".join(word.capitalize() for word in self.name.split("_"))


MEANING: dict[ExitCode, str] = {
    ExitCode.SUCCEEDED: "All steps are done and the last checkpoint is durable.",
    ExitCode.INTERNAL: "An error nobody foresaw; the log has the traceback.",
    ExitCode.CONFIG: "The job document does not parse or asks for the impossible.",
    ExitCode.DATA: "A dataset is missing, unreadable, or has a malformed row.",
    ExitCode.MODEL: "The model is missing or cannot be loaded.",
    ExitCode.CHECKPOINT: "No checkpoint may be used, or a fresh start beside some was refused.",
    ExitCode.STORAGE: "A disk (full, read-only, gone) or a data source failed. The last checkpoint "
    "stands.",
    ExitCode.NON_FINITE: "A loss, gradient norm or reward was not finite. No weights were changed.",
    ExitCode.NO_SIGNAL: "After all sampling rounds fewer than half the groups had a signal.",
    ExitCode.WEIGHT_SYNC: "Weights could not be published to the engines.",
    ExitCode.VERIFIER: "The verification service stayed unreachable or broken.",
    ExitCode.TRAINER_LOST: "Learner ranks were lost time and again without a new step.",
    ExitCode.UNAUTHORIZED: "A token was refused: the pods of the job do not share the same one.",
    ExitCode.ENGINE: "Generation engines kept dying before they had generated anything.",
    ExitCode.GUARD: "A rule of spec.guard was broken, and no rollback was allowed or possible.",
    ExitCode.STOPPED: "Stopped on request with everything saved; starting again resumes.",
}

_FAIL_JOB = {
    ExitCode.CONFIG,
    ExitCode.DATA,
    ExitCode.MODEL,
    ExitCode.CHECKPOINT,
    ExitCode.NON_FINITE,
    ExitCode.NO_SIGNAL,
    ExitCode.GUARD,
}


def default_action(exit_code: int) -> Action:
    """What the operator does when a coordinator ends with this code."""
    if exit_code == ExitCode.SUCCEEDED:
        return Action.COMPLETE
    if exit_code == ExitCode.STOPPED:
        return Action.REPLACE
    return Action.FAIL_JOB if exit_code in _FAIL_JOB else Action.RESTART
