"""Tables of the docs are those of what was measured."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "tests" / "bench" / "exact_resume" / "tables.py"


def test_the_tables_on_exact_resume_are_those_of_its_json() -> None:
    spec = importlib.util.spec_from_file_location("exact_resume_tables", TABLES)
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    lines = (ROOT / "docs" / "measured" / "exact_resume.jsonl").read_text().splitlines()
    docs = (ROOT / "docs" / "reliability.md").read_text()
    made = tables.render(lines).split("\n\n")
    assert len(made) == 4
    assert [table for table in made if table not in docs] == []
