"""Fixtures of the layer that takes a job's pods away in every way a node knows."""

from cluster.fixtures import job, product, quickstart

__all__ = ["job", "product", "quickstart"]
