"""Messages between worker and program: a length of four bytes, then JSON."""

import json
import math
import os
import struct
from typing import Any, NoReturn

HEADER = struct.Struct(">I")
MAX_FRAME_BYTES = 4 << 20


def pack(frame: dict[str, Any]) -> bytes:
    """Raises ValueError for what is not JSON or too large, RecursionError for what is too deep."""
    body = json.dumps(frame, allow_nan=False).encode()
    if len(body) > MAX_FRAME_BYTES:
        raise ValueError(f"{len(body)} bytes, at most {MAX_FRAME_BYTES}")
    return HEADER.pack(len(body)) + body


def parse(body: bytes) -> dict[str, Any]:
    """What an untrusted process says; at most MAX_FRAME_BYTES of it. Raises ValueError for what is
    not an object of finite JSON, is nested too deep or has a number of thousands of digits."""
    try:
        frame = json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(frame, dict):
        raise ValueError("not an object")
    return frame


def read(descriptor: int) -> dict[str, Any]:
    """Blocks; for the program's side, which may trust the worker. Raises EOFError."""
    (length,) = HEADER.unpack(_exactly(descriptor, HEADER.size))
    frame: dict[str, Any] = json.loads(_exactly(descriptor, length))
    return frame


def write(descriptor: int, data: bytes) -> None:
    """All of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _exactly(descriptor: int, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = os.read(descriptor, length - len(parts))
        if not part:
            raise EOFError("the other side has ended")
        parts += part
    return bytes(parts)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)
