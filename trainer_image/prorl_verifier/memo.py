"""What is computed once for each argument, for the few arguments of a group."""

from collections.abc import Callable, Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(dict[K, V]):
    """`memo[argument]` is compute(argument); what raises is not kept. It costs less to make than
    functools.cache, which matters where a group has one completion."""

    __slots__ = ("_compute",)

    def __init__(self, compute: Callable[[K], V]) -> None:
        self._compute = compute

    def __missing__(self, argument: K) -> V:
        value = self[argument] = self._compute(argument)
        return value
