"""Formulas: pure functions of tensors and numbers. Sources and symbols: docs/recipe."""
