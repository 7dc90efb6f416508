"""Numbers that show how they were come by: lines, and sections with a limit. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One number with its arithmetic."""

    name: str
    formula: str
    numbers: str
    value: int
    unit: str = "bytes"
    counted: bool = True
    """Part of the sum of its section."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Lines that are added up and compared with a limit, or just said (limit None)."""

    title: str
    lines: tuple[Line, ...]
    limit: int | None = None
    limit_name: str = ""
    advice: str = ""
    """What to change if it does not fit."""

    @property
    def total(self) -> int:
        """Sum of the counted lines."""
        return sum(line.value for line in self.lines if line.counted)

    @property
    def fits(self) -> bool:
        """Within the limit, if there is one."""
        return self.limit is None or self.total <= self.limit


def size(name: str, formula: str, factors: Sequence[int], divisor: int = 1) -> Line:
    """The product of the factors over the divisor, rounded up."""
    value = 1
    for factor in factors:
        value *= factor
    numbers = " x ".join(f"{f:,}" for f in factors) + (f" / {divisor}" if divisor > 1 else "")
    return Line(name=name, formula=formula, numbers=numbers, value=-(-value // divisor))


def count(name: str, formula: str, factors: Sequence[int]) -> Line:
    """A number of parameters."""
    line = size(name, formula, factors)
    return Line(
        name=name, formula=formula, numbers=line.numbers, value=line.value, unit="parameters"
    )


def said(name: str, formula: str, value: int, unit: str, numbers: str = "") -> Line:
    """A number that is part of no sum."""
    return Line(name=name, formula=formula, numbers=numbers, value=value, unit=unit, counted=False)
