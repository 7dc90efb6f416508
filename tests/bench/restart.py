"""From a SIGKILL of the coordinator to the first step after it, split into its parts.

    python tests/bench/restart.py [--repeats 5]

A whole `prorl run` of a tiny model (Ray, learner, engine, verifier service) is killed with all that
it has started, started again, and watched. A part lasts from when the coordinator says that it does
it until it says the next. A JSON line per repeat, then a table.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import measuring
from local_run import MANIFEST, STEPS, LocalRun

FIRST_STEPS = 2
POLL_S = 0.02
BEFORE = "process, imports, port"
TRAINING = "first step"
Moments = list[tuple[str, float]]
"""What is begun, and when (time.monotonic)."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    machine, rows = measuring.machine(), []
    with tempfile.TemporaryDirectory() as name:
        manifest = MANIFEST.replace("WARM", "150").replace(f"steps: {STEPS}", "steps: 10000")
        run = LocalRun(directory=Path(name) / "run", cache=Path(name), manifest=manifest).start()
        try:
            for _ in range(options.repeats):
                rows.append(restarted(run))
                measuring.report("restart", {"seconds": rows[-1]} | machine)
        finally:
            kill(run)
    show(rows)
    measuring.describe(machine)


def restarted(run: LocalRun) -> dict[str, float]:
    """Seconds of each part."""
    run.until_step(steps(run) + FIRST_STEPS)
    kill(run)
    (run.directory / "endpoint.json").unlink()
    known, moments = len(run.records("step")), [(BEFORE, time.monotonic())]
    run.start()
    while len(run.records("step")) == known:
        if (doing := ask(run)) is not None and doing != moments[-1][0]:
            moments.append((doing, time.monotonic()))
        time.sleep(POLL_S)
    return lasted([*moments, ("", time.monotonic())])


def lasted(moments: Moments) -> dict[str, float]:
    """Of each part, in order; those with the same words together."""
    found: dict[str, float] = {}
    for (what, begin), (_, end) in pairwise(moments):
        found[what] = round(found.get(what, 0.0) + end - begin, 3)
    return found


def ask(run: LocalRun) -> str | None:
    """What the coordinator says that it is doing; None while it does not answer."""
    try:
        url = json.loads((run.directory / "endpoint.json").read_text())["url"]
        token = (run.directory / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}/v1/status", headers=headers)
        ) as a:
            document = json.load(a)
    except (FileNotFoundError, urllib.error.URLError, ConnectionError):
        return None
    if document["stage"] == "Training":
        return TRAINING
    return str(document["message"]).rstrip(" 0123456789") or None


def steps(run: LocalRun) -> int:
    """Finished ones."""
    return max((record["step"] for record in run.records("step")), default=0)


def kill(run: LocalRun) -> None:
    """Everything of it, at once."""
    for process in run.family():
        process.kill()
    run.ended()


def show(rows: list[dict[str, float]]) -> None:
    """The table for docs/performance.md: seconds."""
    parts = list(dict.fromkeys(part for row in rows for part in row))
    cells = [[row.get(part, 0.0) for row in rows] for part in parts]
    cells.append([sum(row.values()) for row in rows])
    named = zip([*parts, "all"], cells, strict=True)
    measuring.table(
        ("part", "seconds"), [(p, measuring.shown(measuring.spread(c), 1)) for p, c in named]
    )


if __name__ == "__main__":
    main()
