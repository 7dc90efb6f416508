"""Fixtures of the layer that takes a job's pods away in every way a node knows."""

import pytest
from cluster.fixtures import job as one_job
from cluster.fixtures import product, quickstart
from cluster.job import Job

pytest.register_assert_rewrite("disturbed")
from disturbed import LastingJob  # noqa: E402  (its assertions are to say what they found)

__all__ = ["one_job", "product", "quickstart"]


@pytest.fixture
def job(one_job: Job) -> LastingJob:
    """In a namespace of its own."""
    return LastingJob(product=one_job.product, namespace=one_job.namespace, name=one_job.name)
