"""Distinct problems of every domain that is scored by a text, each with its right answer.

A problem is a gold answer and sixteen completions of it, right and wrong by turns: a group. All is
drawn from a seed. Completions carry a thought of about `THOUGHT_WORDS` words, as a model's do.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any

from prorl_verifier.wire import Item

GROUP = 16
THOUGHT_WORDS = 300
WORDS = (
    "so", "we", "have", "the", "sum", "of", "both", "sides", "and", "then", "it", "follows", "that",
    "every", "term", "must", "be", "even", "or", "odd", "because", "n", "is", "at", "least", "two",
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

    def item(self, name: str, number: int) -> Item:
        """The completion of this number; even ones are right."""
        made = self.wrong if number % 2 else self.right
        return Item(
            id=name,
            verifier=self.verifier,
            completion=self.frame.format(thought=thought(name), answer=made(number // 2)),
            answer=self.gold,
            meta=self.meta,
        )


def thought(seed: str) -> str:
    """Words between the tags of a thought, always the same for a seed."""
    return f"<think>{' '.join(random.Random(seed).choices(WORDS, k=THOUGHT_WORDS))}</think>"


def distinct(problems: Iterator[Problem], size: int) -> list[Item]:
    """One completion of each problem, half of them right."""
    return [next(problems).item(f"{n}", n % 2) for n in range(size)]


def groups(problems: Iterator[Problem], size: int) -> list[Item]:
    """So many whole groups."""
    drawn = [next(problems) for _ in range(size)]
    return [p.item(f"{n}/{k}", k) for n, p in enumerate(drawn) for k in range(GROUP)]


def math_problems(seed: int = 0) -> Iterator[Problem]:
    """Six kinds by turns that only math-verify can judge: products, roots, intervals, sets,
    fractions of letters, powers."""
    kinds = cycle((_product, _root, _interval, _set, _letters, _power))
    for n, kind in zip(count(1), kinds, strict=False):
        yield kind(n, random.Random(f"{seed}/{n}"))


def _math(gold: str, right: Callable[[int], str], wrong: Callable[[int], str]) -> Problem:
    return Problem(verifier="math-verify", gold=gold, right=right, wrong=wrong)


def _product(n: int, rng: random.Random) -> Problem:
    a, b = n + 1, rng.randrange(2, 99)
    return _math(
        f"x^2+{a + b}x+{a * b}",
        lambda k: f"(x+{a})(x+{b})+{k}-{k}",
        lambda k: f"(x+{a})(x+{b + k + 1})",
    )


def _root(n: int, rng: random.Random) -> Problem:
    b = rng.choice((2, 3, 5, 7))
    return _math(
        f"\\frac{{{n}\\sqrt{{{b}}}}}{{11}}",
        lambda k: f"\\frac{{\\sqrt{{{n * n * b * (k + 2) ** 2}}}}}{{{11 * (k + 2)}}}",
        lambda k: f"\\frac{{{n + k + 1}\\sqrt{{{b}}}}}{{11}}",
    )


def _interval(n: int, rng: random.Random) -> Problem:
    b = n + rng.randrange(2, 99)
    return _math(
        f"({n}, {b}]",
        lambda k: f"\\left(\\frac{{{n * (k + 2)}}}{{{k + 2}}}, {b}\\right]",
        lambda k: f"[{n}, {b + k}]",
    )


def _set(n: int, rng: random.Random) -> Problem:
    b = n + rng.randrange(2, 99)
    return _math(
        f"\\{{{n}, {b}, \\pi\\}}",
        lambda k: f"\\{{{b}, \\pi, \\frac{{{n * (k + 2)}}}{{{k + 2}}}\\}}",
        lambda k: f"\\{{{b}, \\pi, {n + k + 1}\\}}",
    )


def _letters(n: int, rng: random.Random) -> Problem:
    b = rng.randrange(2, 99)
    return _math(
        f"\\frac{{{n}a+{b}}}{{a-1}}",
        lambda k: f"\\frac{{{n * (k + 2)}a+{b * (k + 2)}}}{{{k + 2}a-{k + 2}}}",
        lambda k: f"\\frac{{{n}a+{b + k + 1}}}{{a-1}}",
    )


def _power(n: int, rng: random.Random) -> Problem:
    b = rng.randrange(2, 9)
    return _math(
        f"{n}e^{{{b}t}}",
        lambda k: f"\\frac{{{n * (k + 2)}e^{{{b}t}}}}{{{k + 2}}}",
        lambda k: f"{n}e^{{{b + k + 1}t}}",
    )


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
    """Three instructions each, about a text of `THOUGHT_WORDS` words."""
    for n in count():
        rng = random.Random(f"{seed}/{n}")
        word, limit = rng.choice(WORDS), rng.randrange(50, THOUGHT_WORDS)
        text = " ".join(rng.choices(WORDS, k=THOUGHT_WORDS)) + f" {word}"
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
    "prime_factorization", "quantum_lock", "sudoku", "mini_sudoku", "futoshiki", "zebra_puzzles",
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
