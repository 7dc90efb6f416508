"""Whoever suspends a job has its GPUs soon after the save, and goes on from that save or not at
all."""

import shutil
import time

from cluster.product import Manifest
from disturbed import REPLACED_S, LastingJob, finished, start, told

FREE_WITHIN_S = 10.0
"""Of the checkpoint's commit: by then no pod is left."""


def suspended(job: LastingJob) -> None:
    """Returns when no pod is left."""
    job.patch(suspend=True)
    job.until("no pod is left", lambda: job.pods() == [], REPLACED_S)


def test_all_pods_have_gone_ten_seconds_after_the_save(
    job: LastingJob, quickstart: Manifest
) -> None:
    start(job, quickstart)
    asked = time.time()
    suspended(job)
    free = time.time()
    saved = job.records("checkpoint")[-1]
    assert saved["step"] == job.step()
    took, then = saved["time"] - asked, free - saved["time"]
    print(f"saved {took:.1f} s after the request, no pod {then:.1f} s after that")
    assert then < FREE_WITHIN_S


def test_storage_that_was_emptied_meanwhile_is_no_first_start(
    job: LastingJob, quickstart: Manifest
) -> None:
    """As another claim of the same name would be. Once it is back, the job goes on."""
    start(job, quickstart)
    suspended(job)
    saved, directory = job.step(), job.directory
    away = directory.rename(directory.with_name("away"))
    job.patch(suspend=False)
    words = f"The checkpoint of step {saved} was durable"
    job.until(words, lambda: told(job, "Restarted", words), REPLACED_S)
    assert job.step() == saved
    suspended(job)
    shutil.rmtree(directory)
    away.rename(directory)
    job.patch(suspend=False)
    job.until("a step after it", lambda: job.step() > saved, REPLACED_S)
    finished(job)
