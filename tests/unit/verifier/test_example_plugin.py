"""examples/custom-verifier, installed by what its pyproject.toml says, in a real worker."""

import tomllib
from pathlib import Path

import pytest
from plugin_builders import install, plugin_pool
from prorl_verifier.wire import FAIL, INFRA_ERROR, PASS, Item

EXAMPLE = Path(__file__).parents[3] / "examples" / "custom-verifier"


async def test_the_example_judges_by_its_entry_point(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    monkeypatch.syspath_prepend(str(EXAMPLE))
    install(monkeypatch, tmp_path, project["entry-points"]["prorl.verifiers"])
    asked = [("olleh", "olleh"), (" olleg\n", "olleh"), ("", "olleh"), ("ollehhhhhh", "olleh")]
    asked += [("olleh", "")]
    items = [
        Item(id=str(i), verifier="letters", completion=completion, answer=answer)
        for i, (completion, answer) in enumerate(asked)
    ]
    async with plugin_pool() as pool:
        verdicts = await pool.verify(items)
    assert [(v.outcome, v.score, v.reason) for v in verdicts] == [
        (PASS, 1.0, "5 of 5 letters"),
        (FAIL, 0.8, "4 of 5 letters"),
        (FAIL, 0.0, "0 of 5 letters"),
        (FAIL, 0.5, "5 of 10 letters"),
        (INFRA_ERROR, None, "verifier letters raised ValueError: answer: '', must be a word"),
    ]
