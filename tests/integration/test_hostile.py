"""The hostile inputs through the service's own workers: only what is earned, and nothing left."""

import pytest
from hostile import make, run
from hostile.run import Case
from prorl_verifier.sandbox import detect
from prorl_verifier.sandbox.levels import Isolation

SLOW_STEP = 5
"""Of the inputs that use up their time, so many are left out for each that is judged here; all are
by tests/hostile/run.py."""
REPEATS, SAMPLE_STEP = 10, 20


@pytest.fixture(scope="module")
def isolation() -> Isolation:
    level = detect.strongest()
    assert level >= Isolation.SECCOMP, "this machine cannot hold a program"
    return level


def sampled(name: str) -> list[Case]:
    cases = run.read(name)
    return [c for c in cases if not c.get("slow")] + [c for c in cases if c.get("slow")][
        ::SLOW_STEP
    ]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", make.SETS)
async def test_no_input_is_given_more_or_less_than_it_has_earned_and_leaves_nothing(
    name: str, isolation: Isolation
) -> None:
    cases = sampled(name)
    async with run.opened(isolation, workers=2, scorers=2) as pools:
        verdicts = await run.judge(pools, cases)
        assert run.wrong(cases, verdicts) == []
        assert run.left_processes(isolation) == []
    assert run.left_files() == []


@pytest.mark.timeout(600)
async def test_a_verdict_is_the_same_every_time_and_under_eight_workers(
    isolation: Isolation,
) -> None:
    cases = [case for case in run.read("code") if not case.get("slow")][::SAMPLE_STEP]
    async with run.opened(isolation, workers=8) as pools:
        verdicts = await run.judge(pools, cases, REPEATS)
    assert run.wrong(cases, verdicts) == []
    assert [len({(v.outcome, v.reason) for v in several}) for several in verdicts] == [1] * len(
        cases
    )


@pytest.mark.parametrize("level", [Isolation.SECCOMP, Isolation.LANDLOCK])
async def test_a_weaker_level_holds_too(level: Isolation, isolation: Isolation) -> None:
    if level >= isolation:
        pytest.skip("the strongest level is judged above")
    cases = [case for case in run.read("code") if not case.get("slow")][::3]
    async with run.opened(level, workers=2) as pools:
        assert run.wrong(cases, await run.judge(pools, cases)) == []
    assert run.left_files() == []


@pytest.mark.parametrize("name", make.SETS)
def test_the_files_are_what_their_script_writes(name: str) -> None:
    cases = run.read(name)
    assert (run.HERE / f"{name}.jsonl").read_text("ascii") == make.text_of(name)
    assert len({case["name"] for case in cases}) == len(cases) >= 150
