"""Every exit code has a meaning and a default action."""

import pytest
from prorl_api.exit_codes import MEANING, Action, ExitCode, default_action

ACTIONS = {
    ExitCode.SUCCEEDED: Action.COMPLETE,
    ExitCode.INTERNAL: Action.RESTART,
    ExitCode.CONFIG: Action.FAIL_JOB,
    ExitCode.DATA: Action.FAIL_JOB,
    ExitCode.MODEL: Action.FAIL_JOB,
    ExitCode.CHECKPOINT: Action.FAIL_JOB,
    ExitCode.STORAGE: Action.RESTART,
    ExitCode.NON_FINITE: Action.FAIL_JOB,
    ExitCode.NO_SIGNAL: Action.FAIL_JOB,
    ExitCode.GUARD: Action.FAIL_JOB,
    ExitCode.WEIGHT_SYNC: Action.RESTART,
    ExitCode.VERIFIER: Action.RESTART,
    ExitCode.TRAINER_LOST: Action.RESTART,
    ExitCode.UNAUTHORIZED: Action.RESTART,
    ExitCode.ENGINE: Action.RESTART,
    ExitCode.STOPPED: Action.REPLACE,
}


@pytest.mark.parametrize("code", ExitCode, ids=lambda code: code.reason)
def test_the_default_action_of_every_code(code: ExitCode) -> None:
    assert default_action(code) is ACTIONS[code]


@pytest.mark.parametrize("code", [-1, 2, 127, 137, 143, 255])
def test_a_code_that_nobody_chose_is_worth_another_try(code: int) -> None:
    assert default_action(code) is Action.RESTART


def test_every_code_has_a_sentence_of_meaning() -> None:
    assert set(MEANING) == set(ExitCode)
    assert all(sentence.endswith(".") for sentence in MEANING.values())


def test_a_reason_is_the_name_in_camel_case() -> None:
    assert ExitCode.NON_FINITE.reason == "NonFinite"
    assert len({code.reason for code in ExitCode}) == len(ExitCode)
