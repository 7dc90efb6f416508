"""Whoever suspends a job has its GPUs soon after the save."""

import time

from cluster.product import Manifest
from disturbed import REPLACED_S, LastingJob, start

FREE_WITHIN_S = 10.0
"""Of the checkpoint's commit: by then no pod is left."""


def test_all_pods_have_gone_ten_seconds_after_the_save(
    job: LastingJob, quickstart: Manifest
) -> None:
    start(job, quickstart)
    asked = time.time()
    job.patch(suspend=True)
    job.until("no pod is left", lambda: job.pods() == [], REPLACED_S)
    free = time.time()
    saved = job.records("checkpoint")[-1]
    assert saved["step"] == job.step()
    took, then = saved["time"] - asked, free - saved["time"]
    print(f"saved {took:.1f} s after the request, no pod {then:.1f} s after that")
    assert then < FREE_WITHIN_S
