"""`gym://reasoning-gym/DATASET?size=N&seed=N&option=value`: generated rows."""

import dataclasses
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from prorl_api.spec_model import DataSet
from reasoning_gym.factory import DATASETS, create_dataset

from prorl_trainer.data.prompt import to_prompt
from prorl_trainer.data.rows import Row, Rows
from prorl_trainer.errors import DataError, close_matches, one_line

DEFAULT_SIZE = 1000
MAX_SIZE = 1_000_000

UNSAFE = frozenset(
    {
        "spiral_matrix", "binary_matrix", "string_insertion", "n_queens", "countdown", "puzzle24",
        "simple_integration", "intermediate_integration", "polynomial_equations",
        "polynomial_multiplication", "boxnet", "graph_color", "propositional_logic", "rubiks_cube",
        "rush_hour", "composite",
    }
)  # fmt: skip
"""Their scorers evaluate model text as code, or do not give their own answer full marks."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GymSource:
    """A parsed gym:// URI."""

    dataset: str
    size: int
    seed: int
    options: tuple[tuple[str, Any], ...]

    @property
    def items(self) -> range:
        """Items are drawn from Random(seed + index): which of them this source uses."""
        return range(self.seed, self.seed + self.size)


def parse_gym(name: str, uri: str) -> GymSource:
    """Raises DataError naming the dataset, the option, and close matches."""
    parts = urlsplit(uri)
    dataset = parts.path.strip("/")
    if dataset not in DATASETS:
        raise DataError(
            f"Dataset {name}: reasoning-gym has no dataset {dataset!r}"
            f"{close_matches(dataset, list(DATASETS))}"
        )
    if dataset in UNSAFE:
        raise DataError(
            f"Dataset {name}: {dataset} is refused, because its scorer evaluates the model's text "
            "or does not accept its own answer."
        )
    fields = {f.name: f for f in dataclasses.fields(DATASETS[dataset][1])}
    options: dict[str, Any] = {}
    for key, text in parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True):
        if key not in fields:
            known = [k for k in fields if k not in ("seed", "size")]
            raise DataError(
                f"Dataset {name}: {dataset} has no option {key!r}{close_matches(key, known)}"
            )
        default = 0 if key in ("seed", "size") else fields[key].default
        options[key] = _value(f"Dataset {name}: option {key}", text, default)
    size, seed = options.pop("size", DEFAULT_SIZE), options.pop("seed", 0)
    if not 1 <= size <= MAX_SIZE:
        raise DataError(f"Dataset {name}: option size is {size}, must be from 1 to {MAX_SIZE}.")
    return GymSource(dataset=dataset, size=size, seed=seed, options=tuple(sorted(options.items())))


def read_gym(spec: DataSet, source: GymSource) -> Rows:
    """Generates rows on demand. Raises DataError if the options make no sense together."""
    try:
        items = create_dataset(
            source.dataset, seed=source.seed, size=source.size, **dict(source.options)
        )
        items[0]
    except Exception as error:  # a hundred generators, each of which raises what it likes
        raise DataError(
            f"Dataset {spec.name}: reasoning-gym refuses these options of {source.dataset}: "
            f"{type(error).__name__} {one_line(error)}."
        ) from error

    def get(index: int) -> Row:
        try:
            entry = items[index]
            prompt = to_prompt(spec, entry["question"])
        except Exception as error:  # options may suit one item and not the next
            raise DataError(
                f"Dataset {spec.name}: reasoning-gym cannot make item {index} of {source.dataset}: "
                f"{type(error).__name__} {one_line(error)}."
            ) from error
        meta = {"dataset": source.dataset, "entry": entry}
        return Row(prompt=prompt, answer=entry["answer"], meta=meta)

    return Rows(source.size, get, lambda index: f"item {index}")


def _value(where: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
    except (ValueError, KeyError) as error:
        raise DataError(f"{where} is {text!r}, must be a {type(default).__name__}.") from error
    if isinstance(default, str):
        return text
    parts = text.split(",")
    return parts if isinstance(default, list) else tuple(parts)
