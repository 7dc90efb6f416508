"""A finished group as one line of the journal, and back: pure.

    DIGEST LINEAGE STEP NAME BODY\\n

DIGEST is that of all that follows it. BODY is JSON without a newline; what is long in it is base64
of little-endian arrays: token ids int32, log-probs float32 (float64 where that would change one),
the mask one bit each. A line says by itself whose it is and whether it is as it was written, so
damage costs the lines it is in and no other.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from prorl_trainer.checkpoint.state import RunState
from prorl_trainer.types import Completion, FinishReason, Verdict

VERSION = 1
DIGEST_BYTES = 16
LINEAGE_CHARACTERS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """Whose group it is."""

    lineage: str
    """See lineage()."""
    step: int
    """Finished steps when it is learned from, as in Collected.step."""
    name: str
    """What the ids of its requests begin with: use, set and ordinal of the prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What of a group is no function of its prompt's ordinal."""

    completions: tuple[Completion, ...]
    verdicts: tuple[Verdict, ...]


def lineage(state: RunState) -> str:
    """Names the sequence of policies that the state belongs to: with a step it names one of them.
    Resume stays in it, for it is exact; a rollback begins another one."""
    parts = [state.spec_hash, state.data_fingerprints, state.guard.rollbacks]
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LINEAGE_CHARACTERS]


def group_name(request_id: str) -> str:
    """The part of a request's id that all requests of its group share."""
    return request_id.rpartition("-")[0]


def encode(key: Key, record: Record) -> bytes:
    """The line, its newline included."""
    body = {
        "version": VERSION,
        "completions": [_pack(completion) for completion in record.completions],
        "verdicts": [[verdict.score, verdict.reason] for verdict in record.verdicts],
    }
    text = json.dumps(body, separators=(",", ":"))
    content = f"{key.lineage} {key.step} {key.name} {text}".encode()
    return f"{_digest(content)} ".encode() + content + b"\n"


def read_key(line: bytes) -> Key:
    """Whose line it is. Raises ValueError if it is not as it was written."""
    digest, _, content = line.removesuffix(b"\n").partition(b" ")
    if digest != _digest(content).encode():
        raise ValueError("it is not as it was written")
    found, step, name, _ = content.split(b" ", 3)
    return Key(lineage=found.decode(), step=int(step), name=name.decode())


def decode(line: bytes) -> Record:
    """What encode was given. Raises ValueError if the line is not as it was written, or was written
    by another version."""
    read_key(line)
    body = json.loads(line.split(b" ", 4)[4])
    if body["version"] != VERSION:
        raise ValueError(f"its version is {body['version']}, this one reads {VERSION}")
    return Record(
        completions=tuple(_unpack(packed) for packed in body["completions"]),
        verdicts=tuple(Verdict(score=score, reason=reason) for score, reason in body["verdicts"]),
    )


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def _pack(completion: Completion) -> dict[str, Any]:
    return {
        "id": completion.request_id,
        "tokens": _text(np.asarray(completion.token_ids, "<i4")),
        "mask": _text(np.packbits(np.asarray(completion.mask, bool))),
        "logprobs": _text(_narrowed(np.asarray(completion.logprobs, "<f8"))),
        "finish": completion.finish_reason,
        "versions": completion.weight_versions,
        "starts": completion.weight_starts,
        "text": completion.text,
    }


def _unpack(packed: dict[str, Any]) -> Completion:
    tokens = np.frombuffer(base64.b64decode(packed["tokens"]), "<i4")
    bits = np.frombuffer(base64.b64decode(packed["mask"]), np.uint8)
    logprobs = base64.b64decode(packed["logprobs"])
    kind = "<f8" if len(logprobs) > tokens.nbytes else "<f4"
    return Completion(
        request_id=packed["id"],
        token_ids=tuple(tokens.tolist()),
        mask=tuple(np.unpackbits(bits, count=len(tokens)).astype(bool).tolist()),
        logprobs=tuple(np.frombuffer(logprobs, kind).tolist()),
        finish_reason=FinishReason(packed["finish"]),
        weight_versions=tuple(packed["versions"]),
        weight_starts=tuple(packed["starts"]),
        text=packed["text"],
    )


def _narrowed(logprobs: "np.ndarray[Any, np.dtype[np.float64]]") -> "np.ndarray[Any, Any]":
    """As float32 where that changes none of them: a batch that is made again must be the same."""
    with np.errstate(over="ignore"):  # it is seen in the comparison
        narrow = logprobs.astype("<f4")
    return narrow if np.array_equal(narrow.astype("<f8"), logprobs) else logprobs


def _text(array: "np.ndarray[Any, Any]") -> str:
    return base64.b64encode(array.tobytes()).decode()
