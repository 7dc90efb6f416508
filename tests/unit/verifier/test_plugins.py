"""Custom verifiers in real workers: whatever they do, every item gets one honest verdict."""

import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import psutil
import pytest
from plugin_builders import install, plugin_pool
from prorl_verifier.plugins import installed, wrong_names
from prorl_verifier.pool import WorkerPool
from prorl_verifier.wire import FAIL, INFRA_ERROR, PASS, Item, Verdict

# Does what the completion says.
OBEDIENT = """
import os, subprocess, sys, time
from prorl_verifier.plugin import Verdict

def verify(completion, answer, meta):
    return eval(completion)
"""


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, {"obedient": "installed_here:verify"}, OBEDIENT)


async def judged(
    pool: WorkerPool, completions: Sequence[str], verifier: str = "obedient"
) -> list[Verdict]:
    items = [
        Item(id=str(i), verifier=verifier, completion=completion, answer={"n": [2]}, meta={"m": 3})
        for i, completion in enumerate(completions)
    ]
    return await pool.verify(items)


ANSWERS = {
    "Verdict(1.0, 'right')": (PASS, 1.0, "right"),
    "Verdict(1)": (PASS, 1.0, ""),
    "Verdict(answer['n'][0] / 4 + meta['m'] / 12)": (FAIL, 0.75, ""),
    "Verdict(0.0, 'x' * 9999)": (FAIL, 0.0, "x" * 500),
    "print('{\"score\": 1.0}') or Verdict(0.0)": (FAIL, 0.0, ""),
    "verify('verify(completion, 0, 0)', 0, 0)": (FAIL, 0.0, "exhausts the scorer: Recursion"),
    "Verdict(float('nan'))": (INFRA_ERROR, None, "score nan, must be from 0 to 1"),
    "Verdict(float('inf'))": (INFRA_ERROR, None, "score inf, must be from 0 to 1"),
    "Verdict(2.0)": (INFRA_ERROR, None, "score 2.0, must be from 0 to 1"),
    "Verdict(-1)": (INFRA_ERROR, None, "score -1, must be from 0 to 1"),
    "Verdict(10 ** 400)": (INFRA_ERROR, None, "must be from 0 to 1"),
    "Verdict(True)": (INFRA_ERROR, None, "score True, must be a number"),
    "Verdict('1')": (INFRA_ERROR, None, "score '1', must be a number"),
    "Verdict(0.5, None)": (INFRA_ERROR, None, "reason None, must be a text"),
    "1.0": (INFRA_ERROR, None, "returned 1.0, must return prorl_verifier.plugin.Verdict"),
    "'yes'": (INFRA_ERROR, None, "returned 'yes', must return"),
    "None": (INFRA_ERROR, None, "returned None, must return"),
    "{'score': 1.0}": (INFRA_ERROR, None, "returned {'score': 1.0}, must return"),
    "1 / 0": (INFRA_ERROR, None, "verifier obedient raised ZeroDivisionError: division by zero"),
    "sys.exit(3)": (INFRA_ERROR, None, "verifier obedient raised SystemExit: 3"),
    "(os.fork() and time.sleep(0.3), Verdict(0.5))[1]": (FAIL, 0.5, ""),
    "time.sleep(0.6) or Verdict(0.25, 'the last one')": (FAIL, 0.25, "the last one"),
}


@pytest.mark.usefixtures("obedient")
async def test_nothing_but_a_verdict_is_a_verdict_and_each_is_of_its_own_item() -> None:
    async with plugin_pool() as pool:
        verdicts = await judged(pool, list(ANSWERS))
    for verdict, (outcome, score, reason) in zip(verdicts, ANSWERS.values(), strict=True):
        assert (verdict.outcome, verdict.score) == (outcome, score), verdict.reason
        assert reason in verdict.reason


@pytest.mark.usefixtures("obedient")
async def test_processes_that_it_starts_are_gone_with_the_verdict() -> None:
    daemon = "subprocess.Popen(['sleep', '600'], start_new_session=True).pid"
    orphan = "subprocess.check_output(['sh', '-c', 'setsid sleep 600 >&- & echo $!'])"
    async with plugin_pool() as pool:
        started = await judged(
            pool, [f"Verdict(1.0, str({daemon}))", f"Verdict(1.0, {orphan}.decode())"]
        )
    assert [verdict.outcome for verdict in started] == [PASS, PASS]
    assert [v.reason for v in started if psutil.pid_exists(int(v.reason))] == []


@pytest.mark.usefixtures("obedient")
async def test_one_that_hangs_earns_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    mark = str(tmp_path)  # an argument that no other process has
    hang = f"subprocess.run(['sh', '-c', 'sleep 600; :', {mark!r}], start_new_session=True)"
    async with plugin_pool(timeout_s=0.7) as pool:
        late, next_one = await judged(pool, [hang, "Verdict(1.0)"])
    assert (late.outcome, late.score, late.reason) == (FAIL, 0.0, "timed out after 0.7 s")
    assert next_one.outcome == PASS
    assert [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])] == []


@pytest.mark.usefixtures("obedient")
async def test_one_that_ends_its_process_is_an_infra_error_of_that_item() -> None:
    async with plugin_pool() as pool:
        first, second = await judged(pool, ["os._exit(0)", "Verdict(1.0)"])
    assert (first.outcome, second.outcome) == (INFRA_ERROR, PASS)
    assert first.reason.startswith("2 workers died")


async def test_one_that_cannot_be_imported_says_so_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    points = {
        "obedient": "installed_here:verify",
        "no-module": "not_there:verify",
        "no-function": "installed_here:nothing",
        "no-verifier": "installed_here:os",
        "ends": "ends_at_once:verify",
    }
    install(monkeypatch, tmp_path, points, OBEDIENT)
    (tmp_path / "ends_at_once.py").write_text("raise SystemExit(3)")
    assert [point.name for point in installed()] == sorted(points)
    reasons = {}
    async with plugin_pool() as pool:
        for name in points:
            (verdict,) = await judged(pool, ["Verdict(1.0)"], name)
            reasons[name] = (verdict.outcome, verdict.reason.split(" cannot be imported: ")[-1])
    assert reasons == {
        "obedient": (PASS, ""),
        "no-module": (INFRA_ERROR, "ModuleNotFoundError: No module named 'not_there'"),
        "no-function": (
            INFRA_ERROR,
            "AttributeError: module 'installed_here' has no attribute 'nothing'",
        ),
        "no-verifier": (INFRA_ERROR, "TypeError: installed_here:os is module, must be a function"),
        "ends": (INFRA_ERROR, "SystemExit: 3"),
    }
    assert "verifier no-module cannot be imported: ModuleNotFoundError" in capfd.readouterr().err
    assert "installed_here" not in sys.modules


@pytest.mark.parametrize(
    ("names", "remotes", "wrong"),
    [
        (["letters", "a-1"], ["judge"], []),
        (["math-verify"], [], ["prorl.verifiers: math-verify = m:v: .* belongs to this service"]),
        (["judge"], ["judge"], ["prorl.verifiers: judge = m:v: .* belongs to --remote judge"]),
        (["a", "a"], [], ["prorl.verifiers: a = m:v: .* belongs to prorl.verifiers: a = m:v"]),
        (["My_Judge", "a" * 64], [], [".* My_Judge .* must match", ".* a+ .* must match"]),
        ([], ["code", "judge", "judge"], ["--remote code: .* this service", "--remote judge: .*"]),
    ],
)
def test_a_name_means_one_verifier(names: list[str], remotes: list[str], wrong: list[str]) -> None:
    points = [EntryPoint(name, "m:v", "prorl.verifiers") for name in names]
    found = wrong_names(points, remotes)
    assert len(found) == len(wrong)
    assert all(re.match(pattern, text) for pattern, text in zip(wrong, found, strict=True))


def test_a_service_with_an_ambiguous_name_does_not_start() -> None:
    words = ["--insecure-no-token", "--remote=stem=http://localhost/"]
    command = [sys.executable, "-m", "prorl_verifier", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 10
    assert ended.stderr == "--remote stem: the name belongs to this service itself\n"
