"""Arguments of instruction rules, checked: what is wrong with one is wrong with the data."""

from dataclasses import dataclass
from typing import Any

from prorl_verifier.errors import BadItemError

MAX_COUNT = 1_000_000
MAX_TEXTS = 100
MAX_TEXT = 100_000
RELATIONS = ("at least", "at most", "less than", "exactly")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kwargs:
    """Keyword arguments of one rule; `where` names it in errors."""

    where: str
    values: dict[str, Any]

    def refuse_unknown(self, known: tuple[str, ...]) -> None:
        """Raises BadItemError for an argument that the rule does not have."""
        unknown = sorted(str(key) for key in self.values.keys() - set(known))
        if unknown:
            raise BadItemError(f"{self.where}.{unknown[0]}: unknown argument")

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number from 0."""
        value = self.values.get(name, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
            raise self._error(name, f"a whole number from 0 to {MAX_COUNT}")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A text with something in it."""
        value = self.values.get(name, default)
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
            raise self._error(name, f"a non-empty text of at most {MAX_TEXT} characters")
        return value.strip()

    def texts(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """A list of such texts."""
        value = self.values.get(name, list(default))
        good = isinstance(value, list) and 0 < len(value) <= MAX_TEXTS
        if not good or not all(isinstance(v, str) and v.strip() for v in value):
            raise self._error(name, "a list of non-empty texts")
        return [str(v).strip() for v in value]

    def holds(self, number: int, limit: int, relation: str = "relation") -> bool:
        """Whether the number stands in the relation to the limit; default `at least`."""
        name = self.values.get(relation, "at least")
        if name not in RELATIONS:
            raise self._error(relation, f"one of {', '.join(RELATIONS)}")
        if name == "at least":
            return number >= limit
        if name == "at most":
            return number <= limit
        return number < limit if name == "less than" else number == limit

    def _error(self, name: str, must: str) -> BadItemError:
        value = repr(self.values.get(name))[:60]
        return BadItemError(f"{self.where}.{name}: {value}, must be {must}")
