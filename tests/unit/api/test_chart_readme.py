"""The chart's README says what each value means."""

import pytest
from chartdocs.readme import Value, values

TEXT = """\
# Above,
# in two lines.
a: [1]
b:  # of the block
  c: ""  # own
  d: x
  e: {f: 1}
# Of nothing.

"""


def test_a_value_is_described_by_the_comments_above_and_beside_it() -> None:
    assert list(values(TEXT)) == [
        Value(path="a", default=[1], meaning="Above, in two lines."),
        Value(path="b.c", default="", meaning="own"),
        Value(path="b.d", default="x", meaning="of the block"),
        Value(path="b.e", default={"f": 1}, meaning="of the block"),
    ]


def test_a_value_without_a_comment_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing about g"):
        list(values(TEXT + "g: 1\n"))
