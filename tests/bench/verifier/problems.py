"""Distinct problems of every domain that is scored by a text, each with its right answer.

A problem is a gold answer and sixteen completions of it, right and wrong by turns: a group. All is
drawn from a seed. Completions begin with a thought whose length is log-normal with a median of some
2,000 characters, and the answers of a group repeat as a model's do: `RIGHT_WAYS` spellings of the
right one, `WRONG_WAYS` wrong ones.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

Sample = dict[str, Any]
"""An item of a request to the service."""
GROUP = 16
RIGHT_WAYS, WRONG_WAYS = 2, 4
MEDIAN_WORDS = 400
TEXT_WORDS = 300
WORDS = (
    "so", "we", "have", "the", "sum", "of", "both", "sides", "and", "then", "it", "follows", "that",
    "every", "term", "must", "be", "even", "or", "odd", "because", "$n \\ge 2$", "is", "at",
    "least", "two", "\\frac{a}{b}", "x_{1}+x_{2}", "\"thus\"", "wait.\n\n",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """`right` and `wrong` make an answer's text, given how often one was made before."""

    verifier: str
    gold: Any
    right: Callable[[int], str]
    wrong: Callable[[int], str]
    frame: str = "{thought}\n\\boxed{{{answer}}}"
    meta: dict[str, Any] = field(default_factory=dict)

    def sample(self, name: str, number: int) -> Sample:
        """The completion of this number; even ones are right."""
        made, ways = (self.wrong, WRONG_WAYS) if number % 2 else (self.right, RIGHT_WAYS)
        answer = made(number // 2 % ways)
        return {
            "id": name,
            "verifier": self.verifier,
            "completion": self.frame.format(thought=thought(name), answer=answer),
            "answer": self.gold,
            "meta": self.meta,
        }


def thought(seed: str) -> str:
    """Words between the tags of a thought, always the same for a seed."""
    draw = random.Random(seed)
    size = int(MEDIAN_WORDS * draw.lognormvariate(0, 0.5))
    return f"<think>{' '.join(draw.choices(WORDS, k=size))}</think>"


def distinct(problems: Iterator[Problem], size: int) -> list[Sample]:
    """One completion of each problem, half of them right."""
    return [next(problems).sample(f"{n}", n % 2) for n in range(size)]


def groups(problems: Iterator[Problem], size: int) -> list[Sample]:
    """So many whole groups."""
    drawn = [next(problems) for _ in range(size)]
    return [p.sample(f"{n}/{k}", k) for n, p in enumerate(drawn) for k in range(GROUP)]


MATH = (
    ("x^2+%(sum)sx+%(ab)s", "(x+%(a)s)(x+%(b)s)+%(k)s-%(k)s", "(x+%(a)s)(x+%(c)s)"),
    ("\\frac{%(a)s\\sqrt{%(b)s}}{11}", "\\sqrt{%(b)s}\\cdot\\frac{%(am)s}{%(11m)s}",
     "\\frac{%(a)s\\sqrt{%(c)s}}{11}"),
    ("(%(a)s, %(sum)s]", "\\left(\\frac{%(am)s}{%(m)s}, %(sum)s\\right]", "[%(a)s, %(sum)s]"),
    ("\\{%(a)s, %(sum)s, \\pi\\}", "\\{%(sum)s, \\pi, \\frac{%(am)s}{%(m)s}\\}",
     "\\{%(sum)s, \\pi, -%(c)s\\}"),
    ("\\frac{%(a)sy+%(b)s}{y-1}", "\\frac{%(am)sy+%(bm)s}{%(m)sy-%(m)s}",
     "\\frac{%(a)sy+%(c)s}{y-1}"),
    ("%(a)se^{%(b)st}", "\\frac{%(am)se^{%(b)st}}{%(m)s}", "%(a)se^{%(c)st}"),
    ("(%(a)s, %(b)s)", "\\left(\\frac{%(am)s}{%(m)s}, %(b)s\\right)", "(%(a)s, %(c)s)"),
    ("\\begin{pmatrix}%(a)s & 1\\\\0 & %(b)s\\end{pmatrix}",
     "\\begin{pmatrix}\\frac{%(am)s}{%(m)s} & 1\\\\0 & %(b)s\\end{pmatrix}",
     "\\begin{pmatrix}%(a)s & 1\\\\0 & %(c)s\\end{pmatrix}"),
    ("%(a)s+%(b)s\\sqrt{3}", "%(b)s\\sqrt{3}+\\frac{%(am)s}{%(m)s}", "%(a)s+%(c)s\\sqrt{3}"),
    ("%(a)s+%(b)si", "%(b)si+\\frac{%(am)s}{%(m)s}", "%(a)s+%(c)si"),
    ("y=%(a)sx+%(b)s", "y=%(b)s+\\frac{%(am)s}{%(m)s}x", "y=%(a)sx+%(c)s"),
    ("\\frac{%(a)s\\pi}{%(b)s}", "\\frac{%(am)s\\pi}{%(bm)s}", "\\frac{%(a)s\\pi}{%(c)s}"),
)  # fmt: skip
"""Gold answer, right and wrong spellings of answers that only math-verify can judge: products,
roots, intervals, sets, fractions of letters, powers, points, matrices, sums of roots, complex
numbers, lines, angles."""


def math_problems(seed: int = 0) -> Iterator[Problem]:
    """Each of MATH by turns, with numbers that make it another problem."""
    for n in count():
        gold, right, wrong = MATH[n % len(MATH)]
        a, b = n + 3, random.Random(f"{seed}/{n}").randrange(2, 99)
        yield _math(
            gold % _values(a, b, 0),
            lambda k, text=right, a=a, b=b: text % _values(a, b, k),
            lambda k, text=wrong, a=a, b=b: text % _values(a, b, k),
        )


def _values(a: int, b: int, k: int) -> dict[str, int]:
    """What the templates name; `k` makes another spelling (m) or another wrong number (c)."""
    m = k + 2
    values = {"a": a, "b": b, "k": k, "m": m, "c": b + k + 1, "sum": a + b, "ab": a * b}
    return values | {"am": a * m, "bm": b * m, "11m": 11 * m}


def _math(gold: str, right: Callable[[int], str], wrong: Callable[[int], str]) -> Problem:
    return Problem(verifier="math-verify", gold=gold, right=right, wrong=wrong)


def number_problems(seed: int = 0) -> Iterator[Problem]:
    """Mathematics whose answers are numbers: judged without math-verify."""
    for n in count():
        value = random.Random(f"{seed}/{n}").randrange(10**6) * 10 + 1
        yield _math(
            f"{value}/{10}",
            lambda k, v=value: f"{v * (k + 1)}/{10 * (k + 1)}",
            lambda k, v=value: f"{v + k + 1}/10",
        )


def stem_problems(seed: int = 0) -> Iterator[Problem]:
    """Choices, numbers with units and words by turns."""
    for n in count():
        rng = random.Random(f"{seed}/{n}")
        yield (_choice, _quantity, _word)[n % 3](rng)


def _choice(rng: random.Random) -> Problem:
    letter = rng.choice("ABCDE")
    return _stem(letter, lambda k: f"({letter})" + " " * k, lambda k: f"{chr(ord(letter) + k + 1)}")


def _quantity(rng: random.Random) -> Problem:
    value, unit = rng.randrange(10, 10**6), rng.choice(("m", "s", "kg", "m/s^2", "J", "N"))
    return _stem(
        f"{value} {unit}",
        lambda k: f"{value}.{'0' * k} \\text{{ {unit}}}",
        lambda k: f"{value * (k + 2)} \\text{{ {unit}}}",
    )


def _word(rng: random.Random) -> Problem:
    word = "".join(rng.choices("abcdefghij", k=12))
    return _stem(word, lambda k: f"\\text{{The {word}{'.' * k}}}", lambda k: f"{word}{k}")


def _stem(gold: str, right: Callable[[int], str], wrong: Callable[[int], str]) -> Problem:
    return Problem(verifier="stem", gold=gold, right=right, wrong=wrong)


def instruction_problems(seed: int = 0) -> Iterator[Problem]:
    """Three instructions each, about a text of `TEXT_WORDS` words."""
    for n in count():
        rng = random.Random(f"{seed}/{n}")
        word, limit = rng.choice(WORDS), rng.randrange(50, TEXT_WORDS)
        text = " ".join(rng.choices(WORDS, k=TEXT_WORDS)) + f" {word}"
        yield Problem(
            verifier="instruction",
            gold=[
                {"id": "keywords:existence", "kwargs": {"keywords": [word]}},
                {
                    "id": "length_constraints:number_words",
                    "kwargs": {"num_words": limit, "relation": "at least"},
                },
                {"id": "punctuation:no_comma", "kwargs": {}},
            ],
            right=lambda k, t=text: f"{t} {k}",
            wrong=lambda k, t=text: f"{t}, {k}",
            frame="{thought}\n{answer}",
        )


LOGIC = (
    "basic_arithmetic", "bitwise_arithmetic", "caesar_cipher", "calendar_arithmetic", "chain_sum",
    "count_bits", "gcd", "lcm", "leg_counting", "letter_counting", "number_sequence", "products",
    "spell_backward", "simple_equations", "syllogism", "knights_knaves", "time_intervals",
    "prime_factorization", "sudoku", "mini_sudoku", "futoshiki", "zebra_puzzles",
    "maze", "shortest_path", "word_ladder", "family_relationships", "rotate_matrix",
)  # fmt: skip
"""Of reasoning-gym, by turns."""


def logic_problems(seed: int = 0) -> Iterator[Problem]:
    """reasoning-gym's own items; wrong answers are those of other items."""
    from reasoning_gym.factory import create_dataset

    for part in count():
        sets = [iter(create_dataset(name, seed=seed + part, size=100)) for name in LOGIC]
        for _ in range(100):
            for name, items in zip(LOGIC, sets, strict=True):
                entry = next(items)
                yield Problem(
                    verifier="reasoning-gym",
                    gold=entry["answer"],
                    right=lambda k, e=entry: e["answer"] + " " * k,
                    wrong=lambda k, e=entry: f"{e['answer']} {k}",
                    frame="{thought}\n<answer>{answer}</answer>",
                    meta={"dataset": name, "entry": entry},
                )
