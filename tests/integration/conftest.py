"""Fixtures of the layer that needs real servers."""

import os

import pytest
from cluster.fixtures import control_plane
from operator_fixtures import api, kubeconfig, operator, space

# Ray reads its environment when it is imported.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", "of-the-tests-0123456789abcdef0123")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

__all__ = ["api", "control_plane", "kubeconfig", "operator", "space"]
WHOLE_RUNS = ("test_local_", "test_export", "test_agent", "test_exact_resume")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with whole runs first: two processes share the files in order, and whoever had a long
    one last would work alone."""
    items.sort(key=lambda item: not item.path.name.startswith(WHOLE_RUNS))
