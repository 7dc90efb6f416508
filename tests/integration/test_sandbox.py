"""Programs in real sandboxes: what each level holds, and what becomes of processes."""

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
from hostile import run
from prorl_verifier.domains.code import CodeScorer
from prorl_verifier.metrics import Metrics
from prorl_verifier.pool import WorkerPool
from prorl_verifier.pools import code_crew
from prorl_verifier.sandbox import detect
from prorl_verifier.sandbox.budget import Budget
from prorl_verifier.sandbox.levels import Isolation
from prorl_verifier.sandbox.session import Sandbox, SandboxError
from prorl_verifier.wire import FAIL, INFRA_ERROR, PASS, Item

STRONGEST = detect.strongest()
LEVELS = [level for level in Isolation if Isolation.NONE < level <= STRONGEST]
ANSWER = {"function": "f", "tests": [{"args": [x], "expected": x + 1} for x in range(3)]}
RIGHT = "```python\ndef f(x):\n    return x + 1\n```"
SLEEPS = "```python\nimport time\ntime.sleep(1e9)\n```"


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


def make_item(name: str, completion: str) -> Item:
    return Item(id=name, verifier="code", completion=completion, answer=ANSWER)


async def ready_worker(pool: WorkerPool, but: int = 0) -> psutil.Process:
    """The pool's worker, as soon as it can take items."""
    while True:
        infos = psutil.process_iter(["cmdline", "ppid"])
        below = {p.pid for p in psutil.Process().children(recursive=True)}
        code = [p for p in infos if "prorl_verifier.code_worker" in (p.info["cmdline"] or ())]
        ours = {p.pid: p for p in code if p.pid in below}
        workers = [p for p in ours.values() if p.info["ppid"] in ours and p.pid != but]
        if workers and pool.ready:
            return workers[0]
        await asyncio.sleep(0.01)


async def program_below(worker: psutil.Process) -> psutil.Process:
    """The process of a program below the worker, as soon as it is there."""
    zygotes = 2 if STRONGEST >= Isolation.NAMESPACES else 1
    while len(below := worker.children(recursive=True)) <= zygotes:
        await asyncio.sleep(0.01)
    return below[-1]


@asynccontextmanager
async def code_pool(timeout_s: float, level: Isolation = STRONGEST) -> AsyncIterator[WorkerPool]:
    crew = code_crew(level, workers=1, timeout_s=timeout_s)
    pool = WorkerPool(crew, max_queue=10, metrics=Metrics())
    pool.open()
    yield pool
    await pool.close()


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.word)
async def test_no_process_of_the_service_can_be_read(level: Isolation) -> None:
    program = """
        import os

        def readable():
            try:
                processes = [int(name) for name in os.listdir("/proc") if name.isdigit()]
            except OSError:
                return "nothing is seen"
            ours = [pid for pid in processes if pid != os.getpid() and is_ours(pid)]
            return [pid for pid in ours if has_memory(pid)] if len(ours) > 1 else "too few"

        def is_ours(pid):
            try:
                words = open(f"/proc/{pid}/cmdline").read()
                return "prorl_verifier.code_worker" in words or "prorl_verifier.sandbox" in words
            except OSError:
                return False

        def has_memory(pid):
            try:
                return open(f"/proc/{pid}/mem", "rb") is not None
            except OSError:
                return False
    """
    completion = f"```python\n{textwrap.dedent(program)}\n```"
    expected = [] if level is Isolation.SECCOMP else "nothing is seen"
    answer = {"function": "readable", "tests": [{"args": [], "expected": expected}]}
    async with code_pool(timeout_s=10.0, level=level) as pool:
        (verdict,) = await pool.verify(
            [Item(id="a", verifier="code", completion=completion, answer=answer)]
        )
    assert verdict.outcome == PASS, verdict


@pytest.mark.timeout(120)
async def test_a_killed_worker_takes_its_program_along_and_the_item_is_judged_by_another() -> None:
    async with code_pool(timeout_s=3.0) as pool:
        worker = await ready_worker(pool)
        judged = asyncio.create_task(pool.verify([make_item("a", SLEEPS), make_item("b", RIGHT)]))
        program = await program_below(worker)
        worker.kill()
        assert psutil.wait_procs([program], timeout=10)[1] == []
        verdicts = await judged
    assert [(v.outcome, v.score) for v in verdicts] == [(FAIL, 0.0), (PASS, 1.0)]


@pytest.mark.timeout(120)
async def test_an_item_whose_worker_dies_twice_is_an_infra_error_without_a_score() -> None:
    async with code_pool(timeout_s=60.0) as pool:
        judged = asyncio.create_task(pool.verify([make_item("a", SLEEPS)]))
        killed = 0
        for _ in range(2):
            worker = await ready_worker(pool, but=killed)
            await program_below(worker)
            worker.kill()
            killed = worker.pid
        (verdict,) = await judged
    assert (verdict.outcome, verdict.score) == (INFRA_ERROR, None)


@pytest.mark.parametrize(
    ("answer", "words"),
    [({"tests": []}, "answer.tests"), ("x", "answer: must be an object"), ({}, "answer.tests")],
)
async def test_an_answer_without_tests_is_an_infra_error(answer: Any, words: str) -> None:
    async with code_pool(timeout_s=5.0) as pool:
        (verdict,) = await pool.verify(
            [Item(id="a", verifier="code", completion=RIGHT, answer=answer)]
        )
    assert (verdict.outcome, verdict.score) == (INFRA_ERROR, None)
    assert words in verdict.reason
