"""A group as a line: it comes back as it was, or not at all."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_builders import make_key, make_record
from prorl_trainer.checkpoint.state import GuardState, RunState
from prorl_trainer.journal.record import (
    DIGEST_BYTES,
    Key,
    Record,
    decode,
    encode,
    group_name,
    lineage,
    read_key,
)
from prorl_trainer.types import Completion, FinishReason, Verdict

STATE = RunState(job_uid="u", job_name="j", spec_hash="h", data_fingerprints={"sums": "d"})


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    """Of one or several turns, of one or several versions, with or without tokens."""
    size = draw(st.integers(0, 20))
    wide = draw(st.booleans())
    logprob = st.floats(allow_nan=False, width=64 if wide else 32)
    starts = draw(st.lists(st.integers(1, 20), max_size=2, unique=True).map(sorted))
    return Completion(
        request_id=draw(st.text(min_size=1)),
        token_ids=tuple(draw(st.lists(st.integers(0, 2**31 - 1), min_size=size, max_size=size))),
        mask=tuple(draw(st.lists(st.booleans(), min_size=size, max_size=size))),
        logprobs=tuple(draw(st.lists(logprob, min_size=size, max_size=size))),
        finish_reason=draw(st.sampled_from(FinishReason)),
        weight_versions=tuple(f"1-{i}" for i in range(len(starts) + 1)),
        weight_starts=(0, *starts),
        text=draw(st.text(st.characters())),
    )


VERDICTS = st.builds(
    Verdict, score=st.none() | st.floats(0, 1), reason=st.text(st.characters(), max_size=20)
)
RECORDS = st.builds(
    Record,
    completions=st.lists(completions(), min_size=1, max_size=4).map(tuple),
    verdicts=st.lists(VERDICTS, max_size=4).map(tuple),
)


@given(record=RECORDS)
@settings(max_examples=40)
def test_a_group_comes_back_bit_for_bit_and_its_line_has_one_end(record: Record) -> None:
    line = encode(make_key(), record)
    assert decode(line) == record
    assert read_key(line) == make_key()
    assert line.count(b"\n") == 1


@given(data=st.data())
def test_a_line_with_a_changed_bit_is_refused(data: st.DataObject) -> None:
    line = bytearray(encode(make_key(), make_record(make_key())))
    bit = data.draw(st.integers(0, 8 * (len(line) - 1) - 1))
    line[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match="not as it was written"):
        decode(bytes(line))


def test_float32_log_probs_take_four_bytes() -> None:
    narrow, wide = (
        Completion(
            request_id="a-0", token_ids=(1,) * 3000, mask=(True,) * 3000, logprobs=(value,) * 3000,
            finish_reason=FinishReason.STOP, weight_versions=("1-0",), text="",
        )
        for value in (-0.5, -0.1)
    )  # fmt: skip
    sizes = [len(encode(make_key(), Record(completions=(c,), verdicts=()))) for c in (narrow, wide)]
    assert sizes[1] - sizes[0] == 3000 * 4 * 4 / 3


def test_a_line_of_another_version_is_refused_with_both_numbers() -> None:
    content = encode(make_key(), make_record(make_key()))[2 * DIGEST_BYTES + 1 : -1]
    newer = content.replace(b'"version":1', b'"version":2')
    digest = hashlib.blake2b(newer, digest_size=DIGEST_BYTES).hexdigest().encode()
    with pytest.raises(ValueError, match="its version is 2, this one reads 1"):
        decode(digest + b" " + newer + b"\n")


def test_a_lineage_goes_on_through_steps_and_ends_with_a_rollback_or_another_spec_or_data() -> None:
    same = STATE.model_copy(update={"step": 9, "job_uid": "v", "next_ordinal": 40})
    assert lineage(same) == lineage(STATE)
    others = [
        STATE.model_copy(update=update)
        for update in (
            {"guard": GuardState(rollbacks=1)}, {"spec_hash": "i"},
            {"data_fingerprints": {"sums": "e"}},
        )
    ]  # fmt: skip
    assert len({lineage(state) for state in (STATE, *others)}) == 4


def test_held_out_prompts_have_keys_too() -> None:
    key = Key(lineage="a", step=12, name=group_name("validation-12-held-out--3-15"))
    assert key.name == "validation-12-held-out--3"
    assert read_key(encode(key, make_record(key))) == key
