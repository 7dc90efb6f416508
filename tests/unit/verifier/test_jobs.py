"""Items on their way to a verdict, without a worker."""

import gc
import weakref

from prorl_verifier.jobs import Batch, Job
from prorl_verifier.wire import FAIL, PASS, Item


def make_jobs(number: int) -> tuple[Batch, list[Job]]:
    batch = Batch(number)
    items = [Item(id=str(n), verifier="v", completion="", answer="") for n in range(number)]
    return batch, [Job(item=item, batch=batch, place=n) for n, item in enumerate(items)]


async def test_a_batch_is_answered_in_its_own_order_with_the_first_verdict_of_each() -> None:
    batch, (first, second) = make_jobs(2)
    second.finish(PASS, 1.0, "", 0.1)
    second.finish(FAIL, 0.0, "", 0.1)
    assert not batch.answered.done()
    first.finish(FAIL, 0.0, "", 0.1)
    assert [(v.id, v.outcome) for v in await batch.answered] == [("0", FAIL), ("1", PASS)]


async def test_what_has_its_verdicts_is_freed_without_the_garbage_collector() -> None:
    batch, jobs = make_jobs(2)
    alive = weakref.ref(batch)
    gc.disable()
    try:
        for job in jobs:
            job.finish(PASS, 1.0, "", 0.1)
        del batch, jobs, job
        assert alive() is None
    finally:
        gc.enable()
