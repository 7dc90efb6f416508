"""Tables of the docs are those of what was measured."""

from pathlib import Path

from bench.exact_resume import tables

ROOT = Path(__file__).parents[2]


def test_the_tables_on_exact_resume_are_those_of_its_json() -> None:
    lines = (ROOT / "docs" / "measured" / "exact_resume.jsonl").read_text().splitlines()
    docs = (ROOT / "docs" / "reliability.md").read_text()
    made = tables.render(lines).split("\n\n")
    assert len(made) == 4
    assert [table for table in made if table not in docs] == []
