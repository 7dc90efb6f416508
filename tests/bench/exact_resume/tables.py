"""The tables of docs/reliability.md, of what `exact_resume` has printed.

PYTHONPATH=tests python -m bench.exact_resume.tables docs/measured/exact_resume.jsonl
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.measuring import markdown

Found = dict[str, Any]
SAVING = "SAVING"
WORDS = {
    "LOADING": "start: model, data, checkpoint",
    "VALIDATING": "evaluation",
    "GENERATING": "generation",
    "DRAWN": "a completion has ended, others have not",
    "VERIFYING": "verification",
    "JOURNAL": "a group is appended to the journal",
    "PAUSED": "pause",
    "LEARNING": "update of the policy",
    "SYNC": "weights on their way to the engine",
    "RESET": "reset of the reference",
    "STAGING": "state is copied for a save",
    "BETWEEN": "none of these",
}
"""Of marks.Stage, in the order of the table."""


def render(lines: Iterable[str]) -> str:
    """Markdown, one table below the other."""
    runs = [json.loads(line) for line in lines]
    of: dict[str, list[Found]] = {}
    for run in runs:
        of.setdefault(run["what"], []).append(run)
    tables = [
        kills([run["kills"] for run in of["kills"]]),
        budgets([row for run in of["budgets"] for row in run["budgets"]]),
        stops([row for run in of["suspend"] for row in run["suspend"]]),
        commands(runs),
    ]
    return "\n\n".join(tables)


def kills(found: Sequence[Found]) -> str:
    """By what was going on, and how many of them beside a save."""
    all_of, saving = Counter[str](), Counter[str]()
    for one in found:
        for names, number in one["kills by what was going on"].items():
            stage, _, beside = names.partition(", ")
            all_of[stage] += number
            saving[stage] += number if beside == SAVING else 0
    head = ("what was going on", "kills", "of these while a checkpoint was being written")
    return markdown(head, [(word, all_of[s], saving[s]) for s, word in WORDS.items()])


def budgets(rows: Sequence[Found]) -> str:
    """What a SIGTERM with a budget costs."""
    head = (
        "budget", "rest of the step", "what happened", "finished steps lost",
        "groups of the step: kept, generated after it",
    )  # fmt: skip
    return markdown(head, [_budget(row) for row in rows])


def _budget(row: Found) -> tuple[object, ...]:
    saved = row["exit code"] == 75
    word = "saved and ended after" if saved else "killed after"
    kept = "all" if saved else row["groups in the journal"]
    return (
        f"{row['budget_s']} s", f"{row['step_s']} s", f"{word} {row['seconds']} s",
        row["steps lost"], f"{kept}, {row['groups generated after it']}",
    )  # fmt: skip


def stops(rows: Sequence[Found]) -> str:
    """Acknowledged steps."""
    head = ("stopped at", "acknowledged step, and its checkpoint")
    return markdown(head, [(row["stopped at"], row["checkpoint"] or "none yet") for row in rows])


def commands(runs: Sequence[Found]) -> str:
    """How long each took, on how busy a machine."""
    head = ("what", "seed", "seconds", "load", "problems")
    return markdown(head, [_command(run) for run in runs])


def _command(run: Found) -> tuple[object, ...]:
    load = run["machine"]["load_1min"]
    return run["what"], run["seed"], round(run["seconds"]), round(load), len(run["problems"])


if __name__ == "__main__":
    print(render(Path(sys.argv[1]).read_text().splitlines()))
