"""Fixtures of the layer that runs real pods."""

from cluster.fixtures import job, product, quickstart

__all__ = ["job", "product", "quickstart"]
