"""Fixtures of the layer that needs real servers."""

import os

from cluster.fixtures import control_plane

# Ray reads its environment when it is imported.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", "of-the-tests-0123456789abcdef0123")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

__all__ = ["control_plane"]
