"""The service's documents: strict parsing of a batch, with the field in every error."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_ITEMS = 4096
MAX_COMPLETION_CHARACTERS = 1_000_000
MAX_ID_CHARACTERS = 128
MAX_NAME_CHARACTERS = 63
PASS, FAIL, INFRA_ERROR = "pass", "fail", "infra-error"
VERIFIERS = ("math-verify", "reasoning-gym", "stem", "instruction", "code")
"""Those of this service itself; custom ones have other names."""


class BatchError(ValueError):
    """The batch is refused as a whole; the message names the field, the value and the limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One completion to be judged."""

    id: str
    verifier: str
    completion: str
    answer: Any
    meta: dict[str, Any] = field(default_factory=dict)

    def line(self) -> bytes:
        """The item as a worker reads it."""
        return json.dumps(asdict(self)).encode() + b"\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The judgement of one completion; score is None iff outcome is infra-error."""

    id: str
    outcome: str
    score: float | None
    reason: str
    seconds: float


def parse_batch(body: bytes) -> list[Item]:
    """Raises BatchError."""
    try:
        document = json.loads(body, parse_constant=_refuse)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BatchError(f"body: not JSON: {error}") from error
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise BatchError("items: must be a list")
    if len(items) > MAX_ITEMS:
        raise BatchError(f"items: {len(items)} items, at most {MAX_ITEMS}")
    parsed = [_item(f"items[{index}]", item) for index, item in enumerate(items)]
    seen: set[str] = set()
    for index, item in enumerate(parsed):
        if item.id in seen:
            raise BatchError(f"items[{index}].id: {item.id!r} occurs twice")
        seen.add(item.id)
    return parsed


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def _item(where: str, item: Any) -> Item:
    if not isinstance(item, dict):
        raise BatchError(f"{where}: must be an object")
    unknown = sorted(item.keys() - {"id", "verifier", "completion", "answer", "meta"})
    if unknown:
        raise BatchError(f"{where}.{unknown[0]}: unknown field")
    identifier, completion = item.get("id"), item.get("completion")
    if not isinstance(identifier, str) or not 1 <= len(identifier) <= MAX_ID_CHARACTERS:
        raise BatchError(f"{where}.id: must be a text of 1 to {MAX_ID_CHARACTERS} characters")
    verifier = item.get("verifier")
    if not isinstance(verifier, str) or not 1 <= len(verifier) <= MAX_NAME_CHARACTERS:
        raise BatchError(
            f"{where}.verifier: must be a text of 1 to {MAX_NAME_CHARACTERS} characters"
        )
    if not isinstance(completion, str):
        raise BatchError(f"{where}.completion: must be a text")
    if item.get("answer") is None:
        raise BatchError(f"{where}.answer: missing")
    meta = item.get("meta", {})
    if not isinstance(meta, dict):
        raise BatchError(f"{where}.meta: must be an object")
    return Item(
        id=identifier,
        verifier=verifier,
        completion=completion,
        answer=item["answer"],
        meta=meta,
    )
