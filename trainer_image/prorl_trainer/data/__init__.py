"""Prompts: sources, and their order as a pure function."""
