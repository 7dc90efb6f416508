"""Logic: reasoning-gym's own scorers, without the credit that some give for merely containing the
answer. Scorers that evaluate model text as code are refused."""

from functools import lru_cache
from typing import Any

from prorl_verifier.extract import logic_answer

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


class UnknownDatasetError(ValueError):
    """meta.dataset names no dataset that may be scored."""


def check_meta(meta: dict[str, Any]) -> None:
    """Raises UnknownDatasetError naming field and value."""
    dataset, entry = meta.get("dataset"), meta.get("entry")
    if not isinstance(dataset, str) or dataset in UNSAFE:
        raise UnknownDatasetError(f"meta.dataset: {dataset!r} cannot be scored safely")
    if not isinstance(entry, dict) or "metadata" not in entry:
        raise UnknownDatasetError("meta.entry: must be the dataset's item with its metadata")


def score(completion: str, answer: Any, meta: dict[str, Any]) -> tuple[float, str]:
    """1.0 for the expected answer or one that the dataset's scorer gives full marks, else 0.0."""
    given = logic_answer(completion)
    if given == str(answer):
        return 1.0, "exact"
    if len(given) > MAX_ANSWER_CHARACTERS:
        return 0.0, f"answer has {len(given)} characters, more than {MAX_ANSWER_CHARACTERS}"
    own = float(_scorer(meta["dataset"]).score_answer(given, meta["entry"]))
    # Less than full marks is mostly credit for containing the answer somewhere.
    return (1.0, "scorer") if own >= 1.0 else (0.0, "not the answer")


@lru_cache(maxsize=128)
def _scorer(name: str) -> Any:
    from reasoning_gym.factory import DATASETS, create_dataset

    if name not in DATASETS:
        raise UnknownDatasetError(f"meta.dataset: reasoning-gym has no dataset {name!r}")
    return create_dataset(name, seed=0, size=1)
