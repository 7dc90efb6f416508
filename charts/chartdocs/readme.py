"""The chart's README: how it is installed, and its values from the comments in values.yaml."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

HEAD = Path(__file__).with_name("head.md")


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One value that may be set."""

    path: str
    default: object
    meaning: str


def readme(values_yaml: str) -> str:
    """Raises ValueError for a value without a comment."""
    rows = "".join(
        f"| `{one.path}` | `{json.dumps(one.default)}` | {one.meaning} |\n"
        for one in values(values_yaml)
    )
    return HEAD.read_text() + rows


def values(text: str) -> Iterator[Value]:
    """Every value, in order. A block's comment goes to its values that have none."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    yield from _walk(root, text.splitlines(), (), "")


def _walk(
    node: yaml.MappingNode, lines: list[str], path: tuple[str, ...], outer: str
) -> Iterator[Value]:
    for key, child in node.value:
        here = (*path, key.value)
        meaning = _comment(lines, key.start_mark.line) or outer
        if isinstance(child, yaml.MappingNode) and not child.flow_style:
            yield from _walk(child, lines, here, meaning)
            continue
        if not meaning:
            raise ValueError(f"values.yaml says nothing about {'.'.join(here)}")
        default = yaml.safe_load(yaml.serialize(child))
        yield Value(path=".".join(here), default=default, meaning=meaning)


def _comment(lines: list[str], at: int) -> str:
    """The comment lines right above and the one at the end of the line."""
    above = []
    for line in reversed(lines[:at]):
        if not line.lstrip().startswith("#"):
            break
        above.append(line.lstrip("# ").rstrip())
    found = re.search(r"\s{2}# (.*)$", lines[at])
    return " ".join([*reversed(above), *([found[1]] if found else [])])
