"""Code: Python programs against hidden tests, each program in a sandbox of its own.

Expected outputs stay here. The program is given inputs, one test at a time, and what it says comes
back as bytes or as JSON that is parsed and compared on this side.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from prorl_verifier.domains.code_tests import (
    CallTest,
    ScriptTest,
    Tests,
    parse_tests,
    same_output,
    same_value,
)
from prorl_verifier.extract import fenced_program
from prorl_verifier.sandbox.budget import Budget
from prorl_verifier.sandbox.session import (
    OUTPUT_BYTES,
    Program,
    ProgramEnded,
    Sandbox,
    TimeIsUp,
)

MAX_PROGRAM_CHARACTERS = 200_000
"""A longer program is wrong, not worth running."""


class DoesNotLoad(Exception):
    """The program has an error before any test: it earns nothing."""


class CodeScorer:
    """Scores programs in one sandbox, with a limit of time for all tests of a program."""

    def __init__(self, sandbox: Sandbox, limit_s: float) -> None:
        self._sandbox = sandbox
        self._limit_s = limit_s

    def grader(self, answer: Any, _: dict[str, Any]) -> Callable[[str], tuple[float, str]]:
        """The fraction of tests passed; 0.0 for a program that does not load or takes too long.

        Raises BadItemError; what it returns raises SandboxError, Overloaded."""
        return partial(self._share_passed, *parse_tests(answer))

    def _share_passed(
        self, function: str | None, tests: Tests, completion: str
    ) -> tuple[float, str]:
        source = fenced_program(completion)
        if source is None:
            return 0.0, "no fenced block of Python"
        if len(source) > MAX_PROGRAM_CHARACTERS:
            return 0.0, f"program of more than {MAX_PROGRAM_CHARACTERS} characters"
        trial = _Trial(self._sandbox, Budget(self._limit_s), source, function)
        try:
            passed = sum(trial.passes(test) for test in tests)
        except DoesNotLoad as error:
            return 0.0, f"does not load: {error}"
        except TimeIsUp:
            return 0.0, f"took more than {self._limit_s:g} s"
        finally:
            trial.close()
        return passed / len(tests), f"{passed} of {len(tests)} tests passed"


class _Trial:
    """One program's way through its tests."""

    def __init__(self, sandbox: Sandbox, budget: Budget, source: str, function: str | None) -> None:
        self._sandbox = sandbox
        self._budget = budget
        self._first = {"source": source, "function": function}
        self._program: Program | None = None

    def passes(self, test: ScriptTest | CallTest) -> bool:
        """Raises DoesNotLoad, TimeIsUp."""
        try:
            if isinstance(test, ScriptTest):
                return self._prints(test)
            return self._returns(test)
        except ProgramEnded as error:
            if self.close() > self._budget.limit_s:  # stopped by the kernel's limit
                raise TimeIsUp from error
            return False

    def close(self) -> float:
        """Kills and reaps the process; the processor time that it has had in all its threads."""
        if self._program is None:
            return 0.0
        program, self._program = self._program, None
        return program.end().cpu_s

    def _returns(self, test: CallTest) -> bool:
        """One process for all tests, until it ends."""
        program = self._program or self._load(())
        answer = program.ask({"args": test.args})
        return (
            program.is_alive() and "value" in answer and same_value(answer["value"], test.expected)
        )

    def _prints(self, test: ScriptTest) -> bool:
        """A process of its own. Its output is read when it is dead."""
        stdin, stdout = os.memfd_create("stdin"), os.memfd_create("stdout")
        try:
            os.write(stdin, test.stdin)
            os.lseek(stdin, 0, os.SEEK_SET)
            program = self._load((stdin, stdout))
            finished = program.ask({"run": True}) == {"value": True} and program.is_alive()
            self.close()
            return finished and same_output(os.pread(stdout, OUTPUT_BYTES, 0), test.stdout)
        finally:
            os.close(stdin)
            os.close(stdout)

    def _load(self, streams: tuple[int, ...]) -> Program:
        self._program = self._sandbox.start(self._budget, streams)
        try:
            answer = self._program.ask(self._first)
        except ProgramEnded as error:
            raise DoesNotLoad("it ended") from error
        if "value" not in answer:
            raise DoesNotLoad(_word(answer.get("error")))
        return self._program


def _word(said: Any) -> str:
    """An exception's name, if it is one: the program chooses what it says."""
    return said if isinstance(said, str) and said.isidentifier() and len(said) < 50 else "error"
