"""What is read from the records of a run, and the table made of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from bench.learning.quickstart import outcome
from bench.learning.records import Run, area, figures, fold, read, smooth, spread
from bench.learning.report import read_ablations, summary, table
from bench.learning.runs import RECIPE, Plan, directory, has_succeeded, read_plan
from prorl_api.job import ProRLJob
from prorl_cli.manifest import load_job


def record(kind: str, step: int, attempt: int = 1, **values: Any) -> Any:
    return {"kind": kind, "step": step, "attempt": attempt, "values": values}


def a_step(step: int, kl: float = 0.0, version: int = 0, **values: Any) -> Any:
    numbers = {"kl": kl, "entropy": 0.5, "kept_ratio": 0.5, "step_seconds": 2.0}
    return record("step", step, **(numbers | {"reference_version": version} | values))


def validation(step: int, accuracy: float) -> Any:
    return record("validation", step, accuracy=accuracy)


def a_run(last: float = 0.4) -> Run:
    return fold(
        [
            record("start", 0),
            validation(0, 0.2),
            a_step(1, kl=0.1),
            record("reset", 1, reason="Interval", reference_version=1),
            a_step(2, kl=0.3, version=1),
            validation(2, last),
            record("end", 2),
        ]
    )


def write(directory: Path, lines: list[str]) -> Path:
    directory.mkdir(parents=True)
    (directory / "metrics.jsonl").write_text("".join(lines))
    return directory


def test_what_a_crash_has_undone_is_replaced_by_what_the_resumed_run_did() -> None:
    run = fold(
        [
            record("start", 0),
            a_step(1, kl=0.1),
            a_step(2, kl=0.2),
            record("reset", 2, reason="Interval"),
            validation(2, 0.9),
            record("start", 1, attempt=2),
            a_step(2, kl=0.7),
            record("end", 2, attempt=2),
        ]
    )
    assert run.series("kl") == [(1, 0.1), (2, 0.7)]
    assert run.resets == {}
    assert run.held_out("accuracy") == []


def test_a_line_that_a_crash_has_cut_is_left_out(tmp_path: Path) -> None:
    lines = [json.dumps(a_step(1)) + "\n", '{"kind": "st\n', json.dumps(a_step(2)) + "\n"]
    assert list(read(write(tmp_path / "run", lines)).steps) == [1, 2]


def test_a_run_without_records_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path).steps == {}


def test_the_area_weighs_points_by_the_steps_between_them() -> None:
    assert area([(0, 0.0), (10, 1.0), (40, 1.0)]) == pytest.approx((5 + 30) / 40)


def test_a_single_point_has_no_area() -> None:
    with pytest.raises(ValueError, match="needs 2"):
        area([(0, 0.5)])


def test_the_running_mean_looks_back_only() -> None:
    assert smooth([(1, 1.0), (2, 3.0), (5, 5.0)], 2) == [(1, 1.0), (2, 2.0), (5, 4.0)]


def test_figures_of_a_run() -> None:
    found = figures(a_run())
    assert found["start"] == 0.2
    assert found["end"] == found["best"] == 0.4
    assert found["area"] == pytest.approx(0.3)
    assert found["max KL"] == 0.3
    assert found["seconds"] == 4.0


def test_the_spread_is_over_the_seeds() -> None:
    found = spread([{"end": 0.2}, {"end": 0.6}, {"end": 0.4}])
    assert found["end"] == (pytest.approx(0.4), 0.2, 0.6)


def test_the_table_has_a_row_per_configuration_with_mean_and_range() -> None:
    lines = table({"full": [a_run(0.4), a_run(0.6)], "grpo": [a_run(0.2), a_run(0.6)]}).splitlines()
    assert len(lines) == 4
    assert "| 0.500 (0.400 to 0.600) |" in lines[2]
    assert lines[3].startswith("| grpo | 0.200 (0.200 to 0.200) | 0.400 (0.200 to 0.600)")


def test_a_configuration_is_compared_with_the_first_seed_by_seed() -> None:
    lines = table({"full": [a_run(0.4), a_run(0.6)], "grpo": [a_run(0.6), a_run(0.4)]}).splitlines()
    assert lines[0].endswith("| area - full |")
    assert lines[3].endswith("| 0.000 (-0.100 to 0.100) |")


def test_a_table_of_unequal_runs_is_refused(tmp_path: Path) -> None:
    plan = Plan(seeds=[0, 1], ablations={"full": []}, long=[])
    for seed, steps in ((0, 2), (1, 1)):
        lines = [json.dumps(a_step(n + 1)) + "\n" for n in range(steps)]
        write(directory(tmp_path, "full", seed), lines)
    with pytest.raises(ValueError, match=r"full/seed1 ends at step 1, must have 2"):
        read_ablations(plan, tmp_path)
    runs = read_ablations(plan, tmp_path, steps=1)["full"]
    assert [list(run.steps) for run in runs] == [[1], [1]]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ('{"outcome": "Succeeded", "exitCode": 0, "reason": "x", "step": 2}', True),
        ('{"outcome": "Failed", "exitCode": 21, "reason": "x", "step": 2}', False),
        (" " * 100, False),
    ],
)
def test_only_a_run_whose_last_word_is_success_is_not_run_again(
    tmp_path: Path, word: str, expected: bool
) -> None:
    (tmp_path / "termination.json").write_text(word)
    assert has_succeeded(tmp_path) is expected


def test_the_summary_counts_resets_by_reason() -> None:
    assert "2 steps, 1 attempts, resets: {'Interval': 1}" in summary(a_run())


def test_the_kl_after_a_reset_is_that_of_the_first_step_with_the_new_reference() -> None:
    found = outcome(0, 0, 1.0, a_run())
    assert (found.resets, found.kl_after_reset) == (1, 0.3)
    assert not found.is_fine(min_gain=10)


@pytest.mark.parametrize("name", [*read_plan().ablations, "long"])
def test_every_configuration_of_the_plan_is_a_valid_job(name: str) -> None:
    plan = read_plan()
    changes = plan.long if name == "long" else plan.ablations[name]
    assert isinstance(load_job(RECIPE, changes), ProRLJob)


def test_every_ablation_differs_from_the_full_recipe() -> None:
    specs = [load_job(RECIPE, changes) for changes in read_plan().ablations.values()]
    assert all(a != b for i, a in enumerate(specs) for b in specs[:i])
