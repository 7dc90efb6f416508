"""The initial model, materialised into a local directory."""
