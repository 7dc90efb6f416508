"""The service's documents: strict parsing of a batch, with the field in every error."""

import json
import math
from typing import Annotated, Any

import msgspec

from prorl_verifier.errors import BadItemError

MAX_ITEMS = 4096
MAX_COMPLETION_CHARACTERS = 1_000_000
MAX_ID_CHARACTERS = 128
MAX_DEPTH = 100
"""Of lists and objects in an answer or meta."""
MAX_DIGITS = 4300
"""Of an integer: what Python converts."""
MAX_NAME_CHARACTERS = 63
PASS, FAIL, INFRA_ERROR = "pass", "fail", "infra-error"
QUOTE = ord('"')
NOT_OPENING = bytes({*range(256)} - {*b"[{"})
"""All bytes but those that begin a list or an object."""
VERIFIERS = ("math-verify", "reasoning-gym", "stem", "instruction", "code")
"""Those of this service itself; custom ones have other names."""


class BatchError(ValueError):
    """The batch is refused as a whole; the message names the field, the value and the limit."""


class Item(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One completion to be judged. What is not a value is a msgspec.Raw: sound JSON as it was sent,
    for workers to read."""

    id: str
    verifier: str
    completion: str | msgspec.Raw
    answer: Any
    meta: dict[str, Any] | msgspec.Raw = {}


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The judgement of one completion; score is None iff outcome is infra-error."""

    id: str
    outcome: str
    score: float | None
    reason: str
    seconds: float


class _Sent(Item, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """An item as it is sent, when all is sound. It holds the body that it came in."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]
    verifier: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]
    completion: msgspec.Raw
    answer: msgspec.Raw
    meta: msgspec.Raw = msgspec.Raw(b"{}")


class _Body(msgspec.Struct):
    items: Annotated[list[_Sent], msgspec.Meta(max_length=MAX_ITEMS)]


_BODY = msgspec.json.Decoder(_Body)


def encode(document: Any) -> bytes:
    """As JSON; also surrogates without a partner, which msgspec does not write."""
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(document)).encode()


def decode(text: bytes) -> Any:
    """What `encode` has written. Raises ValueError for what is not JSON."""
    try:
        return msgspec.json.decode(text)
    except ValueError:
        return json.loads(text)


def read_value(name: str, text: bytes) -> Any:
    """Of a field, as it was sent. Raises BadItemError for what no scorer is to see."""
    try:
        try:
            value = msgspec.json.decode(text)  # no number that is not finite, no half a character
            if len(text) <= MAX_DEPTH or len(text.translate(None, NOT_OPENING)) <= MAX_DEPTH:
                return value
        except ValueError:
            value = json.loads(text, parse_int=to_integer)
    except RecursionError as error:
        raise BadItemError(f"{name}: nested more than {MAX_DEPTH} deep") from error
    _check_value(name, value)
    return value


def unjudged(identifier: str, reason: str) -> Verdict:
    """The infra-error of an item that no worker has seen."""
    return Verdict(id=identifier, outcome=INFRA_ERROR, score=None, reason=reason, seconds=0.0)


def parse_batch(body: bytes | bytearray) -> list[Item | Verdict]:
    """The items in order; a verdict in the place of one that no worker has to see.

    A batch whose items cannot all be told apart raises BatchError. Whatever else is wrong with an
    item is an infra-error of that item alone, at the latest when a worker reads what is a
    msgspec.Raw here."""
    try:
        return _sound(body)
    except (ValueError, RecursionError, BadItemError):
        return _with_faults(body)


def _sound(body: bytes | bytearray) -> list[Item | Verdict]:
    """Of a batch of items with the right fields. Raises one of those above for any other, and for
    text that is not UTF-8: what is wrong is found out by _with_faults, which takes its time."""
    if not body.isascii():
        body.decode()  # msgspec checks what it passes over, but for this
    sent = _BODY.decode(body).items
    if len({item.id for item in sent}) < len(sent):
        raise ValueError("an id occurs twice")
    if len(body) <= MAX_COMPLETION_CHARACTERS:
        return [*sent]
    return [_bounded(item) for item in sent]


def _with_faults(body: bytes | bytearray) -> list[Item | Verdict]:
    try:
        document = json.loads(body, parse_int=to_integer)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BatchError(f"body: not JSON: {error}") from error
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise BatchError("items: must be a list")
    if len(items) > MAX_ITEMS:
        raise BatchError(f"items: {len(items)} items, at most {MAX_ITEMS}")
    seen: set[str] = set()
    for index, item in enumerate(items):
        identifier = _id(f"items[{index}]", item)
        if identifier in seen:
            raise BatchError(f"items[{index}].id: {identifier!r} occurs twice")
        seen.add(identifier)
    return [_entry(f"items[{index}]", item) for index, item in enumerate(items)]


def to_integer(digits: str) -> float:
    """Too large a number is infinite, and so refused with its item instead of the batch."""
    return int(digits) if len(digits) <= MAX_DIGITS else math.inf


def _id(where: str, item: Any) -> str:
    if not isinstance(item, dict):
        raise BatchError(f"{where}: must be an object")
    identifier = item.get("id")
    if not isinstance(identifier, str) or not 1 <= len(identifier) <= MAX_ID_CHARACTERS:
        raise BatchError(f"{where}.id: must be a text of 1 to {MAX_ID_CHARACTERS} characters")
    return identifier


def _entry(where: str, item: dict[str, Any]) -> Item | Verdict:
    try:
        return _bounded(_item(where, item))
    except BadItemError as error:
        return unjudged(item["id"], str(error))


def _bounded(item: Item) -> Item | Verdict:
    """The item, or the verdict of one whose completion is too long."""
    if _num_characters(item.completion) <= MAX_COMPLETION_CHARACTERS:
        return item
    reason = f"completion has more than {MAX_COMPLETION_CHARACTERS} characters"
    return Verdict(id=item.id, outcome=FAIL, score=0.0, reason=reason, seconds=0.0)


def _num_characters(completion: str | msgspec.Raw) -> int:
    """As it is sent it may be longer than it is: then it is read, unless it is short even so."""
    if isinstance(completion, str):
        return len(completion)
    text = memoryview(completion)
    if text[0] != QUOTE:
        raise BadItemError("completion")
    return len(text) if len(text) <= MAX_COMPLETION_CHARACTERS else len(msgspec.json.decode(text))


def _item(where: str, item: dict[str, Any]) -> Item:
    unknown = sorted(item.keys() - {"id", "verifier", "completion", "answer", "meta"})
    if unknown:
        raise BadItemError(f"{where}.{unknown[0][:60]}: unknown field")
    verifier = item.get("verifier")
    if not isinstance(verifier, str) or not 1 <= len(verifier) <= MAX_NAME_CHARACTERS:
        raise BadItemError(
            f"{where}.verifier: must be a text of 1 to {MAX_NAME_CHARACTERS} characters"
        )
    if not isinstance(item.get("completion"), str):
        raise BadItemError(f"{where}.completion: must be a text")
    if item.get("answer") is None:
        raise BadItemError(f"{where}.answer: missing")
    if not isinstance(item.get("meta", {}), dict):
        raise BadItemError(f"{where}.meta: must be an object")
    for name in ("answer", "meta"):
        _check_value(f"{where}.{name}", item.get(name))
    return Item(**item)


def _check_value(where: str, value: Any) -> None:
    """Raises BadItemError for what JSON cannot say and for what is nested too deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        for inner in level:
            if type(inner) is float and not math.isfinite(inner):
                raise BadItemError(
                    f"{where}: holds a number that is not finite or has over {MAX_DIGITS} digits"
                )
        lists = [inner for inner in level if type(inner) is list]
        objects = [inner.values() for inner in level if type(inner) is dict]
        level = [inner for values in (*lists, *objects) for inner in values]
        if not level:
            return
    raise BadItemError(f"{where}: nested more than {MAX_DEPTH} deep")
