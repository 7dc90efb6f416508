"""Whether an object already is as it should be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prorl_operator.plan.covers import covers


@pytest.mark.parametrize(
    ("actual", "wanted", "covered"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 2}, {"a": 1}, False),
        ({"a": None}, {"a": 1}, False),
        ({}, {"a": None}, False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ({"a": {"b": 2}}, {"a": {"b": 1}}, False),
        ({"a": [{"p": 1, "q": 2}]}, {"a": [{"p": 1}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": [2, 1]}, {"a": [1, 2]}, False),
        ({"a": "1"}, {"a": [1]}, False),
        ({"a": [1]}, {"a": {"b": 1}}, False),
        (None, {}, False),
        (None, {"a": 1}, False),
    ],
)
def test_every_wanted_field_has_its_value(actual: Any, wanted: Any, covered: bool) -> None:
    assert covers(actual, wanted) is covered


MANIFEST = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(MANIFEST)
def test_everything_covers_itself(manifest: Any) -> None:
    assert covers(manifest, manifest)


@given(st.dictionaries(st.text(max_size=3), MANIFEST, min_size=1), st.data())
def test_no_wanted_field_may_be_missing(manifest: dict[str, Any], data: st.DataObject) -> None:
    lost = data.draw(st.sampled_from(sorted(manifest)))
    assert not covers({k: v for k, v in manifest.items() if k != lost}, manifest)
