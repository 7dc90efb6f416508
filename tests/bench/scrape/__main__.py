"""`python -m bench.scrape`: a real Prometheus scrapes a real run of minutes and answers each query
of the chart's dashboards and alerts. Prints what has no answer, what a scrape costs, and how many
series a job has; draws the dashboards. Exit code 1 if an answer is missing or a limit is passed.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from bench.measuring import machine
from bench.scrape.answers import (
    SCRAPE_LIMIT_S,
    SERIES_LIMIT,
    VARIABLES,
    Answer,
    Span,
    ask_all,
    scrape_costs,
    series_of_the_job,
)
from bench.scrape.watched import ROOT, Watched, watched
from monitoring.uses import NOT_OURS
from prometheus.dashboards import FILES, load
from prometheus.picture import View, draw

LOSS_AT_STEP = 20
AFTER_AN_EVENT = {
    "prorl_verifier_refused_batches_total": "once a batch is refused",
    "prorl_operator_job_pods_disrupted_total": "once a pod is taken from outside",
}
"""Metrics without a series until then, which this run does not have."""


def main() -> int:
    """Runs in the repository's root, with PYTHONPATH=tests:charts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "prorl")
    parser.add_argument("--images", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as directory, watched(Path(directory), options.cache) as one:
        span = _watch(one)
        answers = list(ask_all(one.prometheus, span, AFTER_AN_EVENT | NOT_OURS))
        good = _report(one, span, answers)
        _draw(one, span, options.images)
    return 0 if good else 1


def _watch(one: Watched) -> Span:
    """From the first step to the last; a trainer is lost on the way. Returns when the run ends."""
    assert one.run.process is not None
    one.run.until_step(1)
    start = time.time()
    one.run.until_step(LOSS_AT_STEP)
    one.lose_a_trainer()
    one.run.until_step(one.steps)
    end = time.time()
    output, _ = one.run.process.communicate()
    if one.run.process.returncode:
        raise RuntimeError(output[-3000:])
    return Span(start=start, end=end)


def _report(one: Watched, span: Span, answers: list[Answer]) -> bool:
    print(f"{span.end - span.start:.0f} s, {len(one.run.records('step'))} steps")
    for verdict, number in Counter(answer.verdict for answer in answers).items():
        print(f"{number:4d} queries: {verdict}")
    empty = [answer.asked for answer in answers if answer.verdict == "EMPTY"]
    for asked in empty:
        print(f"  {asked.board} / {asked.panel}: {asked.expr}")
    costs = scrape_costs(one.prometheus, span)
    for pod, (median, slow, samples) in costs.items():
        times = f"{median * 1e3:.1f} ms, 95th percentile {slow * 1e3:.1f} ms"
        print(f"{pod}: scrape {times}; {samples} samples")
    series = series_of_the_job(one.prometheus, span)
    print(f"series with this job's label: at most {series}")
    medians = [median for median, _, _ in costs.values()]
    return not empty and max(medians) < SCRAPE_LIMIT_S and series < SERIES_LIMIT


def _draw(one: Watched, span: Span, folder: Path) -> None:
    view = View(prometheus=one.prometheus, variables=VARIABLES, **asdict(span), step=span.step)
    for path in sorted(FILES.glob("*.json")):
        draw(load(path.stem), view, folder / f"dashboard-{path.stem.removeprefix('prorl-')}.png")


if __name__ == "__main__":
    sys.exit(main())
