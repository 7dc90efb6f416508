"""Programs in real sandboxes: what each level holds, and what becomes of processes."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import psutil
import pytest
from hostile import run
from prorl_verifier.domains.code import CodeScorer
from prorl_verifier.sandbox.budget import Budget
from prorl_verifier.sandbox.session import Sandbox, SandboxError
from sandboxes import ANSWER, LEVELS, RIGHT, SLEEPS


@pytest.fixture(params=LEVELS, ids=lambda level: level.word)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(request.param) as sandbox:
        yield sandbox


def printed(sandbox: Sandbox, program: str, stdin: str = "") -> str:
    """The name of the exception with which the script ended, or `right` for an output of `yes`."""
    answer = {"tests": [{"input": stdin, "output": "yes"}]}
    score, reason = CodeScorer(sandbox, 10.0).grader(answer, {})(f"```python\n{program}\n```")
    return "right" if score == 1.0 else reason


def test_what_programs_commonly_use_works(sandbox: Sandbox) -> None:
    program = """
        import asyncio, bisect, collections, ctypes, dataclasses, datetime, decimal, functools
        import hashlib, heapq, itertools, json, math, random, re, resource, sqlite3, string, sys
        import threading, time, typing, zoneinfo
        from concurrent.futures import ThreadPoolExecutor
        sys.setrecursionlimit(10**6)
        resource.setrlimit(resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK))

        @dataclasses.dataclass
        class Point:
            x: int

        async def later():
            await asyncio.sleep(0.001)
            return Point(1)

        assert asyncio.run(later()) == Point(1)
        assert list(ThreadPoolExecutor(4).map(abs, [-1])) == [1]
        assert zoneinfo.ZoneInfo("Europe/Berlin") and time.localtime()
        assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
        assert hashlib.sha256(b"").hexdigest()[:4] == "e3b0"
        assert open("/dev/stdin").read() == "given\\n"
        assert len(str(7 ** 9000)) > 4300
        signal = __import__("signal").alarm(60)
        print("yes")
    """
    assert printed(sandbox, textwrap.dedent(program), "given\n") == "right"


def test_recursion_may_be_deep(sandbox: Sandbox) -> None:
    program = """
        import sys
        from functools import lru_cache
        sys.setrecursionlimit(10**6)

        @lru_cache(None)
        def depth(n):
            return 0 if n == 0 else 1 + depth(n - 1)

        print("yes" if depth(50_000) == 50_000 else "no")
    """
    assert printed(sandbox, textwrap.dedent(program)) == "right"


def test_hashes_and_random_numbers_are_the_same_in_every_process(sandbox: Sandbox) -> None:
    other = Sandbox(LEVELS[0])
    program = "import random\nprint(hash('a'), random.random(), list({'b', 'c', 'd'}))"
    with other:
        outputs = {output_of(one, program) for one in (sandbox, sandbox, other)}
    assert len(outputs) == 1


def output_of(sandbox: Sandbox, program: str) -> bytes:
    stdin, stdout = os.memfd_create("in"), os.memfd_create("out")
    process = sandbox.start(Budget(10.0), (stdin, stdout))
    assert process.ask({"source": program, "function": None}) == {"value": True}
    assert process.ask({"run": True}) == {"value": True}
    process.end()
    return os.pread(stdout, 1000, 0)


def test_the_environment_is_empty_and_only_four_descriptors_are_open(sandbox: Sandbox) -> None:
    program = """
        import os
        def is_open(fd):
            try:
                return os.fstat(fd) is not None
            except OSError:
                return False
        open_ones = [fd for fd in range(64) if is_open(fd)]
        print("yes" if not os.environ and open_ones == [0, 1, 2, 3] else (os.environ, open_ones))
    """
    assert printed(sandbox, textwrap.dedent(program)) == "right"


def test_a_program_that_sleeps_is_stopped_when_its_time_is_up(sandbox: Sandbox) -> None:
    assert CodeScorer(sandbox, 0.2).grader(ANSWER, {})(SLEEPS) == (0.0, "took more than 0.2 s")
    assert CodeScorer(sandbox, 5.0).grader(ANSWER, {})(RIGHT)[0] == 1.0


def is_zygote(process: psutil.Process) -> bool:
    try:
        return "prorl_verifier.sandbox" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a child of an earlier test that nobody has waited for yet
        return False


def test_a_sandbox_whose_zygote_is_gone_says_so(sandbox: Sandbox) -> None:
    for process in filter(is_zygote, psutil.Process().children()):
        process.kill()
        process.wait()
    with pytest.raises(SandboxError):
        CodeScorer(sandbox, 5.0).grader(ANSWER, {})(RIGHT)


REFUSING = """
import ctypes, os, struct, sys
def step(code, value, yes=0, no=0): return struct.pack("=HBBI", code, yes, no, value)
numbers = [int(word) for word in sys.argv[1].split(",")]
program = step(0x20, 0) + b"".join(step(0x15, n, 0, 1) + step(6, 0x50001) for n in numbers)
program += step(6, 0x7FFF0000)
steps = ctypes.create_string_buffer(program, len(program))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
array = struct.pack("@HP", len(program) // 8, ctypes.addressof(steps))
assert libc.prctl(22, 2, array, 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""

UNSHARE, LANDLOCK, PRCTL = 272, 444, 157


def run_refused(refused: tuple[int, ...], *words: str) -> "subprocess.CompletedProcess[str]":
    """Python with these words where the kernel refuses these calls, as a pod's profile may."""
    numbers = ",".join(map(str, refused))
    return subprocess.run(
        [sys.executable, "-c", REFUSING, numbers, *words], capture_output=True, text=True,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("refused", "level"),
    [
        ((UNSHARE,), "landlock"),
        ((UNSHARE, LANDLOCK), "seccomp"),
        ((LANDLOCK,), "seccomp"),
        ((PRCTL,), "none"),
    ],
)
def test_the_strongest_level_that_can_be_had_is_found(refused: tuple[int, ...], level: str) -> None:
    program = "from prorl_verifier.sandbox.detect import strongest; print(strongest().word)"
    assert run_refused(refused, "-c", program).stdout == f"{level}\n"


def test_a_service_below_its_minimum_does_not_start() -> None:
    words = ("-m", "prorl_verifier", "--insecure-no-token", "--minimum-isolation", "landlock")
    ended = run_refused((LANDLOCK,), *words)
    assert ended.returncode == 10
    assert "--minimum-isolation landlock: this node permits seccomp only" in ended.stderr


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root to become another user"
)
@pytest.mark.timeout(300)
def test_a_user_without_any_capability_holds_programs_as_well() -> None:
    """What a pod under Pod Security `restricted` is, but for the runtime's filter."""
    drop = ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--no-new-privs"]
    drop += ["--bounding-set=-all", "--inh-caps=-all"]
    ended = subprocess.run(
        [*drop, sys.executable, run.__file__, "--sets", "code", "--step", "9"],
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, cwd="/",
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "user 65532" in ended.stdout
