"""Fixtures of the layer that runs real pods."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.fixtures import product
from cluster.job import Job
from cluster.product import Product

__all__ = ["product"]

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.yaml"


@pytest.fixture
def quickstart() -> dict[str, Any]:
    """The example as users have it; a test may change it."""
    return dict(yaml.safe_load(QUICKSTART.read_text()))


@pytest.fixture
def job(product: Product, request: pytest.FixtureRequest) -> Iterator[Job]:
    """A job to be applied, in a namespace of its own under Pod Security `restricted`."""
    namespace = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())
    namespace = namespace[-40:].strip("-")
    product.namespace(namespace)
    yield Job(product=product, namespace=namespace, name="q")
    product.kubectl("delete", "namespace", namespace, "--wait")
