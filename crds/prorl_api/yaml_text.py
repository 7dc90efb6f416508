"""YAML as kubectl reads it: one meaning per key, floats such as 1e-6, values that JSON can hold."""

import itertools
import json
import math
import re
from collections.abc import Hashable, Iterator
from typing import Any

import yaml

MAX_VALUES = 100_000
"""Values of one document: aliases make ten lines stand for billions."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotJsonError(ValueError):
    """A value that JSON cannot hold; `path` says where."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


def load_all(text: str) -> Iterator[Any]:
    """Every document. Raises yaml.YAMLError, also for a key that is given twice."""
    return yaml.load_all(text, Loader=_Loader)


def as_json(value: Any) -> str:
    """JSON of a loaded document. Raises NotJsonError."""
    try:
        return json.dumps(_plain(value, "", itertools.count(1)), allow_nan=False)
    except RecursionError as error:
        raise NotJsonError("", "nested too deeply, or a value that contains itself") from error


def _plain(value: Any, path: str, counter: Iterator[int]) -> Any:
    """Mappings lose the keys whose value is null, as in the API server; 2.0 becomes 2."""
    if next(counter) > MAX_VALUES:
        raise NotJsonError("", f"has more than {MAX_VALUES} values, aliases counted each time")
    if isinstance(value, dict):
        return {
            str(key): _plain(child, f"{path}.{key}".lstrip("."), counter)
            for key, child in value.items()
            if child is not None
        }
    if isinstance(value, list):
        return [_plain(child, f"{path}[{i}]", counter) for i, child in enumerate(value)]
    return _plain_leaf(value, path)


def _plain_leaf(value: Any, path: str) -> Any:
    if isinstance(value, str) and _SURROGATE.search(value):
        raise NotJsonError(path, f"{value!r}: must be Unicode text without lone surrogates")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotJsonError(path, f"{value}: must be a finite number")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if value is None or isinstance(value, str | int):
        return value
    raise NotJsonError(path, f"{value!r}: must be a text, number, boolean, list or mapping")


class _Loader(yaml.SafeLoader):
    """A key given twice is an error: one of the two would be ignored."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


# YAML 1.1 takes 1e-6 for a text and 2026-11-24 for a date; kubectl takes a number and a text.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
