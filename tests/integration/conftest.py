"""Fixtures of the layer that needs real servers."""

from cluster.fixtures import control_plane

__all__ = ["control_plane"]
