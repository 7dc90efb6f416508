"""Beside the program, in its process: loads it, calls it, sends back what it returns.

Nothing here is trusted or secret. The program shares this interpreter and may replace all of it: it
can then say what it likes, and still has to say the right values, which it does not have.
"""

import atexit
import random
import sys
import threading
from types import ModuleType
from typing import Any

from prorl_verifier.sandbox import frames

CONTROL = 3
"""The descriptor of the messages."""
METHODS_OF = "Solution"
"""A function that is not at the top level may be a method of this class."""


def serve() -> None:
    """Answers one frame after the other until the worker has had enough.

    {source, function} loads, {args} calls, {run} runs as a script, {nonce} is sent back."""
    frames.write(CONTROL, frames.pack({"ready": True}))
    first = frames.read(CONTROL)
    function = first["function"]
    module = _new_module("__main__" if function is None else "solution")
    code: list[Any] = []

    def load() -> bool:
        code.append(compile(first["source"], "<program>", "exec", dont_inherit=True))
        if function is not None:
            exec(code[0], module.__dict__)  # what the sandbox is for
            code.append(_find(module, function))
        return True

    _reply(load)
    while True:
        frame = frames.read(CONTROL)
        if "nonce" in frame:
            frames.write(CONTROL, frames.pack(frame))
        elif "run" in frame:
            _reply(lambda: _run_script(code[0], module))
        else:
            _reply(lambda frame=frame: code[1](*frame["args"]))


def _reply(action: Any) -> None:
    """Whatever the program raises is the program's failure, SystemExit included."""
    try:
        answer = frames.pack({"value": action()})
    except BaseException as error:
        answer = frames.pack({"error": type(error).__name__})
    frames.write(CONTROL, answer)


def _new_module(name: str) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module
    return module


def _find(module: ModuleType, function: str) -> Any:
    found = getattr(module, function, None)
    if found is None and hasattr(module, METHODS_OF):
        found = getattr(getattr(module, METHODS_OF)(), function, None)
    if found is None:
        raise NameError(function)
    return found


def _run_script(code: Any, module: ModuleType) -> bool:
    """As the interpreter would: the script, its threads, its exit handlers, its last output."""
    printed = sys.stdout
    try:
        exec(code, module.__dict__)  # what the sandbox is for
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, printed):
        if stream is not None and not stream.closed:
            stream.flush()
    return True


def prepare() -> None:
    """A fresh interpreter's streams and a fixed seed: the same program, the same verdict."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = open(number, mode, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115 - lives as long as the process
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.set_int_max_str_digits(0)
    random.seed(0)
