"""Metrics, trackers and the status document."""
