"""Finished, verified groups, kept until a checkpoint contains the step that they are for."""
