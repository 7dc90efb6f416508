"""Logic: reasoning-gym's own scorers, without the credit that some give for merely containing the
answer. Scorers that evaluate model text as code are refused."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from prorl_verifier.errors import BadItemError
from prorl_verifier.extract import logic_answer
from prorl_verifier.memo import Memo
from prorl_verifier.notation import number

MAX_ANSWER_CHARACTERS = 20_000

UNSAFE = frozenset(
    {
        "spiral_matrix", "binary_matrix", "string_insertion", "n_queens", "countdown", "puzzle24",
        "simple_integration", "intermediate_integration", "polynomial_equations",
        "polynomial_multiplication", "boxnet", "graph_color", "propositional_logic", "rubiks_cube",
        "rush_hour", "composite",
    }
)  # fmt: skip
"""Their scorers evaluate model text as code, or do not give their own answer full marks."""

LITERAL = frozenset(
    {
        "advanced_geometry", "coin_flip", "complex_arithmetic", "decimal_arithmetic",
        "fraction_simplification", "game_of_life_halting", "gsm_symbolic", "kakurasu",
        "knights_knaves", "letter_jumble", "number_format", "survo", "time_intervals",
        "word_sorting",
    }
)  # fmt: skip
"""Their scorers give full marks to prose around the answer, near numbers, more than the answer or
anything. Here the answer itself is asked for: the same number, or the same words in any case and
spacing."""

ALPHABETS = {"quantum_lock": "ABC", "sokoban": "UDLR"}
"""Letters of an answer whose scorer skips all others."""


class UnknownDatasetError(BadItemError):
    """meta.dataset names no dataset that may be scored."""


def check_meta(meta: dict[str, Any]) -> None:
    """Raises UnknownDatasetError naming field and value."""
    dataset, entry = meta.get("dataset"), meta.get("entry")
    if not isinstance(dataset, str) or dataset in UNSAFE:
        raise UnknownDatasetError(f"meta.dataset: {dataset!r} cannot be scored safely")
    if not isinstance(entry, dict) or "metadata" not in entry:
        raise UnknownDatasetError("meta.entry: must be the dataset's item with its metadata")


def grader(answer: Any, meta: dict[str, Any]) -> Callable[[str], tuple[float, str]]:
    """1.0 for the expected answer or one that the dataset's scorer gives full marks, else 0.0.
    Equal answers of a group are compared once. Raises UnknownDatasetError."""
    check_meta(meta)
    memo = Memo(partial(_compare, str(answer), meta["dataset"], meta["entry"]))
    return lambda completion: memo[logic_answer(completion)]


def _compare(gold: str, dataset: str, entry: dict[str, Any], given: str) -> tuple[float, str]:
    if not given:
        return 0.0, "no answer"
    if given == gold:
        return 1.0, "exact"
    if len(given) > MAX_ANSWER_CHARACTERS:
        return 0.0, f"answer has {len(given)} characters, more than {MAX_ANSWER_CHARACTERS}"
    if dataset in LITERAL:
        return (1.0, "literal") if _same(given, gold) else (0.0, "not the answer")
    if (letters := ALPHABETS.get(dataset)) and any(c.isalpha() and c not in letters for c in given):
        return 0.0, f"{dataset} is answered in the letters {letters}"
    own = float(_scorer(dataset).score_answer(given, entry))
    # Less than full marks is mostly credit for containing the answer somewhere; more than full
    # marks is a sum of such credits that was rounded up.
    return (1.0, "scorer") if own == 1.0 else (0.0, "not the answer")


def _same(given: str, gold: str) -> bool:
    a, b = number(given), number(gold)
    if a is not None and b is not None:
        return a == b
    return _words(given) == _words(gold)


def _words(text: str) -> list[str]:
    return text.casefold().rstrip(". ").replace(",", ", ").split()


@lru_cache(maxsize=128)
def _scorer(name: str) -> Any:
    from reasoning_gym.factory import DATASETS, create_dataset

    if name not in DATASETS:
        raise UnknownDatasetError(f"meta.dataset: reasoning-gym has no dataset {name!r}")
    return create_dataset(name, seed=0, size=1)
