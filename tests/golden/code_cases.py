"""Code: programs whose score is known from how the problem is made."""

from collections.abc import Iterator
from itertools import cycle

from golden.code_calls import CALLS
from golden.code_frames import FRAMES, MISSING, Problem
from golden.code_scripts import SCRIPTS
from golden.frames import Case, case

FRAMES_PER_PROGRAM = 4


def _of(problem: Problem, frames: Iterator[str], missing: Iterator[str]) -> Iterator[Case]:
    answer, right, wrong = problem.answer, problem.rights[0], problem.wrongs[0][0]
    for program in problem.rights:
        for _ in range(FRAMES_PER_PROGRAM):
            yield case(next(frames) % {"program": program, "other": wrong}, answer, 1.0)
    for program, score in problem.wrongs:
        for _ in range(2):
            yield case(next(frames) % {"program": program, "other": right}, answer, score)
    for _ in range(3):
        yield case(next(missing) % {"program": right}, answer, 0.0)


def cases() -> list[Case]:
    """All of them."""
    frames, missing = cycle(FRAMES), cycle(MISSING)
    return [one for problem in (*SCRIPTS, *CALLS) for one in _of(problem, frames, missing)]
