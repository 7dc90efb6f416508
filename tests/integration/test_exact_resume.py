"""A sample of tests/bench/exact_resume: what is killed or stopped ends as if nothing had been."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench" / "exact_resume"


def test_runs_that_were_killed_and_stopped_end_as_the_one_that_nobody_disturbed() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "sample", "--seed", "1"], stdout=subprocess.PIPE, text=True
    )
    found = json.loads(done.stdout)
    assert found["problems"] == []
    moments = " ".join(found["kills"]["kills by what was going on"])
    assert all(name in moments for name in ("JOURNAL", "SYNC", "RESET", "SAVING"))
    assert [row["acknowledged step"] for row in found["suspend"]] == [2, 5]
    [killed] = found["budgets"]
    assert (killed["exit code"], killed["steps lost"]) == (-9, 0)
    assert killed["groups in the journal"] >= 1
    assert done.returncode == 0
