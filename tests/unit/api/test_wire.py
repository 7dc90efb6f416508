"""The documents that the parts send each other."""

import pytest
from prorl_api.wire import MAX_TERMINATION_BYTES, Outcome, TerminationMessage


@pytest.mark.parametrize("character", ["x", "ü", "漢", "\U0001f600", '"', "\x00"])
def test_a_final_word_fits_into_what_the_kubelet_keeps(character: str) -> None:
    said = TerminationMessage(
        outcome=Outcome.FAILED, exit_code=11, reason="Data", message=2000 * character
    )
    text = said.as_json()
    assert len(text.encode()) <= MAX_TERMINATION_BYTES
    kept = TerminationMessage.model_validate_json(text)
    assert len(kept.message) > 400
    assert said.message.startswith(kept.message)
    assert kept.exit_code == 11
