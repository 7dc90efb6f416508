"""Attacks on the sandbox and on its verdicts, in every place of a program where they may stand."""

from collections.abc import Iterator
from textwrap import indent
from typing import Any

from hostile.attacks import END, ESCAPE, EXHAUST, FORGE, HANG, POISON, SPY, WRITE
from hostile.values import VALUES

Case = dict[str, Any]
INPUTS = (2, 11, 4242, -5)
SCRIPT = {"tests": [{"input": f"{x}\n", "output": f"{x * 7919 + 13}\n"} for x in INPUTS]}
CALL = {"function": "solve", "tests": [{"args": [x], "expected": x * 7919 + 13} for x in INPUTS]}
SLOW = {
    "frame-cut", "frame-garbage", "read-messages", "bytecode", "memory-growth", "stdout", "stderr",
    "line", "deep-recursion", "c-recursion", "last-test-hangs", "printed-then-hangs",
}  # fmt: skip
"""Attacks that use up their time, or much of it."""
RIGHT = "def solve(x):\n    return x * 7919 + 13"


def _case(name: str, program: str, answer: Any, score: float) -> Case:
    completion = f"Sure.\n````python\n{program}\n````"
    return {
        "name": name, "verifier": "code", "completion": completion, "answer": answer, "meta": {},
        "score": score,
    }  # fmt: skip


def _wrong(name: str, attack: str) -> Iterator[Case]:
    """In a script, at import and in a call, before an answer that is wrong."""
    inner = indent(attack, "    ")
    yield _case(f"{name}/script", f"{attack}\nprint(0)", SCRIPT, 0.0)
    yield _case(f"{name}/import", f"{attack}\ndef solve(x):\n    return 0", CALL, 0.0)
    yield _case(f"{name}/call", f"def solve(x):\n{inner}\n    return 0", CALL, 0.0)


def _harmless(name: str, attack: str) -> Iterator[Case]:
    """Fails, is caught, and the right answer follows: that is earned."""
    tried = f"try:\n{indent(attack, '    ')}\nexcept BaseException:\n    pass\n"
    yield _case(f"{name}/right-script", f"{tried}print(int(input()) * 7919 + 13)", SCRIPT, 1.0)
    yield _case(f"{name}/right-import", f"{tried}{RIGHT}", CALL, 1.0)


def _sources() -> Iterator[Case]:
    """Programs that are odd before they run."""
    odd = {
        "syntax": "def solve(x) return 13",
        "nul": "print(1)\0",
        "indentation": "if True:\n\tx = 1\n        y = 2",
        "parentheses": "(" * 10_000 + ")" * 10_000,
        "operators": "-" * 20_000 + "1",
        "long": "x = 1\n" * 10_000,
        "deep-blocks": "".join(" " * d + "if 1:\n" for d in range(150)),
        "encoding": "# -*- coding: no-such -*-\nprint(1)",
        "future": "from __future__ import braces",
        "surrogate": "x = '\ud800'",
        "look-alike": "\uff50rint(13) if False else рrint(13)",
        "direction": "x = 1 #\u202e print(13)",
        "shell": "#!/bin/sh\ntouch /tmp/prorl-hostile-shell",
        "empty": "",
        "marker": "</think>\nprint(13)",
        "folded": "x = 1 << (1 << 40)",
        "matrix": "x = [[" * 3000,
        "string-product": "x = 'a' * (1 << 40)",
        "byte-order-mark": "\ufeffprint(13)",
    }
    for name, program in odd.items():
        yield _case(f"source/{name}/script", program, SCRIPT, 0.0)
        yield _case(f"source/{name}/import", program, CALL, 0.0)
    yield _case("source/too-long", f"{RIGHT}\nx = '{'a' * 200_000}'", CALL, 0.0)


def _partial() -> Iterator[Case]:
    """What was right before and after an attack in one test is earned, and no more."""
    for name, attack in {
        "exit": "raise SystemExit(0)",
        "os-exit": "import os; os._exit(0)",
    }.items():
        inner = indent(attack, "        ")
        program = f"def solve(x):\n    if x == 11:\n{inner}\n    return x * 7919 + 13"
        yield _case(f"partial/{name}/call", program, CALL, 0.75)
        body = f"x = int(input())\nif x == 11:\n{indent(attack, '    ')}\nprint(x * 7919 + 13)"
        yield _case(f"partial/{name}/script", body, SCRIPT, 0.75)
    late = "import os\nprint(int(input()) * 7919 + 13, flush=True)\n"
    yield _case("partial/printed-then-os-exit", f"{late}os._exit(0)", SCRIPT, 0.0)
    yield _case("partial/printed-then-failed", f"{late}1 / 0", SCRIPT, 0.0)
    yield _case("partial/printed-then-exit-0", f"{late}raise SystemExit(0)", SCRIPT, 1.0)
    yield _case("partial/printed-then-exit-1", f"{late}raise SystemExit(1)", SCRIPT, 0.0)
    yield _case("partial/printed-twice", f"{late}print(0)", SCRIPT, 0.0)
    hang = "def solve(x):\n    while x == -5: pass\n    return x * 7919 + 13"
    yield _case("partial/last-test-hangs", hang, CALL, 0.0)
    yield _case("partial/printed-then-hangs", f"{late}while True: pass", SCRIPT, 0.0)
    noisy = f"import os\nfor fd in (1, 2): os.write(fd, b'PASSED' * 1000)\n{RIGHT}"
    yield _case("partial/noise-of-a-function", noisy, CALL, 1.0)


def cases() -> list[Case]:
    """All of them; the slow ones may run until they are killed."""
    found: list[Case] = []
    groups = {"end": END, "forge": FORGE, "poison": POISON, "exhaust": EXHAUST}
    for group, attacks in groups.items():
        for name, attack in attacks.items():
            found += _wrong(f"{group}/{name}", attack)
    for group, attacks in {"spy": SPY, "escape": ESCAPE, "write": WRITE}.items():
        for name, attack in attacks.items():
            found += [*_wrong(f"{group}/{name}", attack), *_harmless(f"{group}/{name}", attack)]
    for number, (name, attack) in enumerate(HANG.items()):
        found += [list(_wrong(f"hang/{name}", attack))[number % 3] | {"slow": True}]
    for name, attack in VALUES.items():
        program = f"def solve(x):\n{indent(attack, '    ')}"
        found.append(_case(f"value/{name}", program, CALL, 0.0))
    after = _case("after-all", RIGHT, CALL, 1.0)
    return [_marked(case) for case in [*found, *_sources(), *_partial(), after]]


def _marked(case: Case) -> Case:
    group, _, name = case["name"].partition("/")
    slow = name.partition("/")[0] in SLOW and group in ("forge", "exhaust", "partial")
    return case | {"slow": True} if slow else case
